"""The Firestore client of both processes, whose channel reconnects quickly after an outage."""

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

QUICK_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
"""gRPC's defaults reconnect 20 to 55 s after a server is back; these do within about a second."""
NOTICES_SILENCE = (("grpc.keepalive_time_ms", 30_000),)
"""As in Google's own client of the real service: otherwise calls continue on a dead connection."""
_ANY_SIZE = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class _EmulatorClient(firestore.Client):
    """A client of the emulator at a given host.

    The library's own client reads the host from the environment only, and its channel uses gRPC's
    slow reconnect defaults.
    """

    def __init__(self, project_id: str, emulator_host: str) -> None:
        super().__init__(project=project_id, credentials=AnonymousCredentials())
        self._emulator_host = emulator_host

    def _emulator_channel(self, transport: object) -> grpc.Channel:
        options = (("Authorization", "Bearer owner"), *_ANY_SIZE, *QUICK_RECONNECT, *NOTICES_SILENCE)
        return grpc.insecure_channel(self._emulator_host, options=options)


def firestore_client(project_id: str, *, emulator_host: str | None) -> firestore.Client:
    """Return a client of the emulator if its host is given, else of the real service.

    The real service is called with the machine's identity. Create the client after gunicorn has
    forked: gRPC does not survive a fork.
    """
    if emulator_host:
        return _EmulatorClient(project_id, emulator_host)
    return firestore.Client(project=project_id)
