"""How both processes reach Firestore: one client, with a channel that comes back quickly after an outage."""

import grpc
from google.cloud import firestore

QUICK_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
"""gRPC's defaults reconnect 20 to 55 s after a server is back; these do within about a second."""


class _EmulatorClient(firestore.Client):
    """The emulator's channel is made by the client itself, with gRPC's slow defaults, unless this is overridden."""

    def _emulator_channel(self, transport: object) -> grpc.Channel:
        options = [("Authorization", "Bearer owner"), *QUICK_RECONNECT]
        return grpc.insecure_channel(self._emulator_host, options=options)


def firestore_client(project_id: str, *, emulator_host: str | None) -> firestore.Client:
    """A client for the emulator when its host is given, else for the real service with the machine's identity.

    Create it after gunicorn has forked: gRPC does not survive a fork.
    """
    if emulator_host:
        return _EmulatorClient(project=project_id)
    return firestore.Client(project=project_id)
