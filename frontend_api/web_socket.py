"""The server's side of a WebSocket (RFC 6455) on a connection that the HTTP server lends. One thread owns it."""

import select
import socket
import time

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

VERSION = "13"
"""The only one there is."""
CloseCode = CloseReason | int
_READ_BYTES = 65_536
_FAREWELL_SECONDS = 2.0


def accept_token(key: str) -> str:
    """What `Sec-WebSocket-Accept` must say to this `Sec-WebSocket-Key`."""
    return generate_accept_token(key.encode()).decode()


class WebSocket:
    """An open socket that tells and listens to nothing but its protocol: pings, their answers, farewells.

    Every method raises OSError when the connection is broken.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._wire = Connection(ConnectionType.SERVER)
        self._awaits_pong = False
        self.is_open = True

    def send(self, text: str) -> None:
        """Send one text message."""
        self._connection.sendall(self._wire.send(TextMessage(data=text)))

    def ping(self) -> bool:
        """Ask whether anybody is there; False when the last time nobody answered."""
        if self._awaits_pong:
            return False
        self._awaits_pong = True
        self._connection.sendall(self._wire.send(Ping()))
        return True

    def listen(self) -> None:
        """Take in what has arrived, and answer as the protocol wants it. What the other side says is not kept."""
        received = self._connection.recv(_READ_BYTES)
        if not received:
            self.is_open = False
            return
        self._awaits_pong = False
        self._wire.receive_data(received)
        for event in self._wire.events():
            if isinstance(event, Ping | CloseConnection):
                self._connection.sendall(self._wire.send(event.response()))
            if isinstance(event, CloseConnection):
                self.is_open = False

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Say farewell, and give the other side a moment to say it, too: closed at once, the last words may be lost."""
        if not self.is_open:
            return
        self.is_open = False
        self._connection.sendall(self._wire.send(CloseConnection(code=code, reason=reason)))
        self._connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _FAREWELL_SECONDS
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while poll.poll(max(0.0, until - time.monotonic()) * 1_000):
            if not self._connection.recv(_READ_BYTES):
                break
