"""Ack ids that stay unique when the emulator is restarted.

The emulator numbers its deliveries from 1 after every start, so an acknowledgement of a message
that was lost in a restart would acknowledge a later message. The real service never reuses an id.
The proxy therefore adds the emulator's incarnation to every outgoing id, and drops incoming ids of
earlier incarnations.
"""

import secrets
from collections.abc import Iterable
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


class AckIds:
    """Adds and removes the incarnation. Thread-safe."""

    def __init__(self) -> None:
        self._incarnation = secrets.token_hex(4)
        self._was_connected = False

    def on_connectivity(self, connectivity: grpc.ChannelConnectivity) -> None:
        """Start a new incarnation when the connection was lost and reconnected.

        For `Channel.subscribe`.
        """
        if connectivity is grpc.ChannelConnectivity.READY:
            self._was_connected = True
        elif self._was_connected:
            self._was_connected = False
            self._incarnation = secrets.token_hex(4)

    def stamp(self, ack_id: str) -> str:
        return f"{ack_id}~{self._incarnation}"

    def current(self, ack_ids: Iterable[str]) -> list[str]:
        """Return the emulator's own ids, only those of the present incarnation."""
        suffix = f"~{self._incarnation}"
        return [ack_id.removesuffix(suffix) for ack_id in ack_ids if ack_id.endswith(suffix)]

    def with_stamped_ids(self, metadata: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
        """Return an error's trailing metadata with the incarnation added to its ack ids.

        With exactly-once delivery the metadata contains an error per ack id.
        """
        return tuple(
            (key, self._stamped_status(value) if key == _DETAILS_KEY else value)
            for key, value in metadata
            if key == _DETAILS_KEY or not key.startswith("grpc-")
        )

    def _stamped_status(self, serialized: bytes) -> bytes:
        status = status_pb2.Status.FromString(serialized)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                reasons = {self.stamp(ack_id): reason for ack_id, reason in info.metadata.items()}
                info.metadata.clear()
                info.metadata.update(reasons)
                detail.Pack(info)
        return bytes(status.SerializeToString())
