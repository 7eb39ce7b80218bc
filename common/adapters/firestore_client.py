"""The Firestore client of both processes, whose channel reconnects quickly after an outage."""

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from common.adapters.grpc_channels import emulator_channel


class _EmulatorClient(firestore.Client):
    """A client of the emulator at a given host.

    The library's own client reads the host from the environment only, and its channel uses gRPC's
    slow reconnect defaults.
    """

    def __init__(self, project_id: str, emulator_host: str) -> None:
        super().__init__(project=project_id, credentials=AnonymousCredentials())
        self._emulator_host = self._address = emulator_host

    def _emulator_channel(self, transport: object) -> grpc.Channel:
        return emulator_channel(self._address, ("Authorization", "Bearer owner"))


def firestore_client(project_id: str, *, emulator_host: str | None) -> firestore.Client:
    """Return a client of the emulator if its host is given, else of the real service.

    The real service is called with the machine's identity. Create the client after gunicorn has
    forked: gRPC does not survive a fork.
    """
    if emulator_host:
        return _EmulatorClient(project_id, emulator_host)
    return firestore.Client(project=project_id)
