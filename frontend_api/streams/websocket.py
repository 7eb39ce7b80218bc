"""The server side of a WebSocket (RFC 6455) on the HTTP server's connection. One thread owns it."""

import select
import socket
import time

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

VERSION = "13"
"""The only version."""
CloseCode = CloseReason | int
_READ_BYTES = 65_536
_CLOSE_SECONDS = 2.0
_RECEIVED_BYTES_PER_MINUTE = 64 * 1024
_LEAST_COUNTED_BYTES = 64
"""Each read counts as this much at least: a thread wakes up for it."""


def accept_token(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` value for a `Sec-WebSocket-Key`."""
    return generate_accept_token(key.encode()).decode()


class WebSocket:
    """An open WebSocket that sends messages and handles received control frames.

    Received messages are discarded. A caller that sends much nevertheless is disconnected: each frame
    costs processor time. Every method raises OSError when the connection is broken.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._wire = Connection(ConnectionType.SERVER)
        self._awaits_pong = False
        self._minute_began_at = time.monotonic()
        self._received_bytes = 0
        self.is_open = True

    def send(self, text: str) -> None:
        self._connection.sendall(self._wire.send(TextMessage(data=text)))

    def ping(self) -> bool:
        """Send a ping; return False if nothing was received since the previous ping."""
        if self._awaits_pong:
            return False
        self._awaits_pong = True
        self._connection.sendall(self._wire.send(Ping()))
        return True

    def receive(self) -> None:
        """Process received data and answer as the protocol requires. Messages are discarded."""
        received = self._connection.recv(_READ_BYTES)
        if not received:
            self.is_open = False
            return
        if not self._may_receive(len(received)):
            self.close(CloseReason.POLICY_VIOLATION, "the client sends more than this connection accepts")
            return
        self._awaits_pong = False
        self._wire.receive_data(received)
        for event in self._wire.events():
            if isinstance(event, Ping | CloseConnection):
                self._connection.sendall(self._wire.send(event.response()))
            if isinstance(event, CloseConnection):
                self.is_open = False

    def _may_receive(self, size: int) -> bool:
        """Count a read; return False above the limit of this minute."""
        now = time.monotonic()
        if now - self._minute_began_at >= 60:
            self._minute_began_at, self._received_bytes = now, 0
        self._received_bytes += max(size, _LEAST_COUNTED_BYTES)
        return self._received_bytes <= _RECEIVED_BYTES_PER_MINUTE

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Send a close frame and wait up to two seconds for the peer's.

        Closing immediately could lose the last message.
        """
        if not self.is_open:
            return
        self.is_open = False
        self._connection.sendall(self._wire.send(CloseConnection(code=code, reason=reason)))
        self._connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _CLOSE_SECONDS
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1_000):
            if not self._connection.recv(_READ_BYTES):
                break
