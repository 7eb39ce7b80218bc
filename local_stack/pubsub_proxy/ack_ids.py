"""Ack ids that stay unique when the emulator is restarted.

The emulator numbers its deliveries from 1 after every start, so an acknowledgement of a message that was lost in a
restart would acknowledge another one that came later. The real service never uses an id again. The proxy therefore
stamps every id on its way out with the emulator's incarnation, and drops the ids of earlier ones on their way in.
"""

import secrets
from collections.abc import Iterable
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


class AckIds:
    """Stamps and unstamps. Thread-safe: the stamp is one reference, replaced as a whole."""

    def __init__(self) -> None:
        self._stamp = secrets.token_hex(4)
        self._was_connected = False

    def follow(self, connectivity: grpc.ChannelConnectivity) -> None:
        """A new connection after one was lost may lead to a new incarnation. For `Channel.subscribe`."""
        if connectivity is grpc.ChannelConnectivity.READY:
            self._was_connected = True
        elif self._was_connected:
            self._was_connected = False
            self._stamp = secrets.token_hex(4)

    def stamped(self, ack_id: str) -> str:
        return f"{ack_id}~{self._stamp}"

    def current(self, stamped: Iterable[str]) -> list[str]:
        """The emulator's own ids of those that its present incarnation gave out."""
        ending = f"~{self._stamp}"
        return [ack_id.removesuffix(ending) for ack_id in stamped if ack_id.endswith(ending)]

    def stamped_details(self, metadata: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
        """An error's trailing metadata. With exactly-once delivery it says for each ack id what is wrong with it."""
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
                reasons = {self.stamped(ack_id): reason for ack_id, reason in info.metadata.items()}
                info.metadata.clear()
                info.metadata.update(reasons)
                detail.Pack(info)
        return bytes(status.SerializeToString())
