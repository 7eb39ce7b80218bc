"""One end of the pipe between the worker and its engine; both ends use this class.

The module does not import torch, so that the engine receives messages before torch's imports, which
take seconds, and so that the worker can import it.
"""

import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

PEER_CHECK_SECONDS = 2.0
Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class DuplexPipe(Generic[Incoming, Outgoing]):
    """Messages to and from the other process, whose slowness or death never blocks the caller.

    One thread writes to the pipe and one reads from it, so a peer that hangs in the middle of a
    message blocks only these two. `send` is thread-safe; `receive` is for one thread.

    The end of the pipe signals the peer's death. A third process may hold a copy of the pipe; then
    `peer_is_alive`, called every two seconds of silence, detects it. `on_lost` is called on one of
    the two threads, as soon as the peer is lost.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_lost: Callable[[], object] = lambda: None,
        peer_is_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._peer_is_alive = peer_is_alive
        self._incoming: SimpleQueue[Incoming | None] = SimpleQueue()
        self._outgoing: SimpleQueue[tuple[Outgoing, ...] | None] = SimpleQueue()
        self._reader = Thread(target=self._read, name="engine-pipe-reader", daemon=True)
        self._writer = Thread(target=self._write, name="engine-pipe-writer", daemon=True)

    def open(self) -> None:
        """Start both threads."""
        self._reader.start()
        self._writer.start()

    def send(self, *messages: Outgoing) -> None:
        """Queue messages without blocking. Messages to a lost peer are dropped.

        An object that several messages of one call have in common is one object for the peer, too.
        """
        self._outgoing.put(messages)

    def receive(self, *, wait: bool = True, within_seconds: float | None = None) -> Incoming | None:
        """Return the oldest unread message, or None if there is none, or none in time.

        Raises EOFError when the peer is lost and all its messages are read.
        """
        try:
            message = self._incoming.get(block=wait, timeout=within_seconds)
        except Empty:
            return None
        if message is None:
            raise EOFError("the other end of the pipe is closed")
        return message

    def flush(self) -> None:
        """Send all queued messages and stop sending; later messages are dropped."""
        self._outgoing.put(None)
        self._writer.join()

    def close(self) -> None:
        """Shut down the pipe, which ends both threads, and close it afterwards."""
        with socket.socket(fileno=os.dup(self._connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
        self.flush()
        self._reader.join()
        self._connection.close()

    def _read(self) -> None:
        try:
            while True:
                if self._connection.poll(PEER_CHECK_SECONDS):
                    for message in unpacked(self._connection.recv()):
                        self._incoming.put(message)
                elif not self._peer_is_alive():
                    break
        except (EOFError, OSError):
            pass
        self._on_lost()
        self._incoming.put(None)

    def _write(self) -> None:
        try:
            while (messages := self._outgoing.get()) is not None:
                self._connection.send(messages if len(messages) > 1 else messages[0])
        except OSError:
            self._on_lost()


def unpacked(received: Any) -> tuple[Any, ...]:
    """Return the messages that arrived together."""
    return received if isinstance(received, tuple) else (received,)
