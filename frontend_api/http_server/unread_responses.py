"""UnreadResponses: the callers who do not read their responses."""

import fcntl
import socket
import sys
from collections.abc import Hashable
from typing import Generic, TypeVar

_Connection = TypeVar("_Connection", bound=Hashable)
_SIOCOUTQNSD = 0x894B  # Linux: bytes in the send queue that have not been sent


class UnreadResponses(Generic[_Connection]):
    """The connections with a request in a thread, and since when their callers have had bytes to read."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._sockets: dict[_Connection, socket.socket] = {}
        self._unread_since: dict[_Connection, float] = {}

    def begin(self, connection: _Connection, client: socket.socket) -> None:
        self._sockets[connection] = client

    def end(self, connection: _Connection) -> None:
        del self._sockets[connection]
        self._unread_since.pop(connection, None)

    def check(self, *, now: float) -> list[_Connection]:
        """Return the connections that had unread bytes at each check of the last `seconds`."""
        found = []
        for connection, client in self._sockets.items():
            if not _untaken_bytes(client):
                self._unread_since.pop(connection, None)
            elif now - self._unread_since.setdefault(connection, now) >= self._seconds:
                found.append(connection)
        return found


def _untaken_bytes(connection: socket.socket) -> int:
    """Return how many bytes the kernel cannot send because the caller reads nothing.

    Bytes in transit do not count.
    """
    try:
        answer = fcntl.ioctl(connection, _SIOCOUTQNSD, bytes(4))
    except (OSError, ValueError):  # closed, or not supported by the system
        return 0
    return int.from_bytes(answer, sys.byteorder)
