"""Ack ids that stay unique when the emulator is restarted.

The emulator numbers its deliveries from 1 after every start, so an acknowledgement of a message
that was lost in a restart would acknowledge a later message. The real service never reuses an id.
The proxy therefore adds the emulator's incarnation to every outgoing id, and drops incoming ids of
earlier incarnations.
"""

import secrets
from collections.abc import Iterable

import grpc


class AckIds:
    """Adds and removes the incarnation. Thread-safe."""

    def __init__(self) -> None:
        self._incarnation = secrets.token_hex(4)
        self._was_connected = False

    def on_connectivity(self, connectivity: grpc.ChannelConnectivity) -> None:
        """Start a new incarnation after a lost connection. For `Channel.subscribe`."""
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
