"""The engine's end of the pipe: a receiving thread, a sending thread, and an exit without a parent.

The module does not import torch, so that the engine receives messages before torch's imports, which
take seconds.
"""

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Thread

from gpu_subscriber.engine.exit_codes import PARENT_GONE
from gpu_subscriber.engine.messages import FromEngine, ToEngine

ORPHAN_CHECK_SECONDS = 2.0


class DuplexPipe:
    """Messages from and to the parent.

    Neither `send` nor the engine's loop ever waits for a slow parent. When the parent dies, the
    process exits at once, even during a step. The end of the pipe signals the parent's death; if a
    third process holds a copy of the pipe, a changed parent process id does. (Linux's parent-death
    signal is unsuitable: it fires when the *thread* that started the engine ends.)
    """

    def __init__(self, pipe: Connection, *, leave: Callable[[int], object] = os._exit) -> None:
        self._pipe = pipe
        self._leave = leave
        self._parent_id = os.getppid()
        self._heard: SimpleQueue[ToEngine] = SimpleQueue()
        self._unsaid: SimpleQueue[FromEngine | None] = SimpleQueue()
        self._listener = Thread(target=self._listen, name="engine-listener", daemon=True)
        self._speaker = Thread(target=self._speak, name="engine-speaker", daemon=True)

    def open(self) -> None:
        self._listener.start()
        self._speaker.start()

    def close(self) -> None:
        """Send all queued messages and stop the sending thread; later messages are never sent."""
        self._unsaid.put(None)
        self._speaker.join()

    def send(self, message: FromEngine) -> None:
        """Queue a message for the parent."""
        self._unsaid.put(message)

    def next(self, *, wait: bool, within_seconds: float | None = None) -> ToEngine | None:
        """Return the oldest pending message.

        Returns None when there is none and `wait` is off, or when none arrives within
        `within_seconds`.
        """
        try:
            return self._heard.get(block=wait, timeout=within_seconds)
        except Empty:
            return None

    def _listen(self) -> None:
        try:
            while True:
                if self._pipe.poll(ORPHAN_CHECK_SECONDS):
                    self._heard.put(self._pipe.recv())
                elif os.getppid() != self._parent_id:
                    break
        except (EOFError, OSError):
            pass
        self._leave(PARENT_GONE)

    def _speak(self) -> None:
        try:
            while (message := self._unsaid.get()) is not None:
                self._pipe.send(message)
        except OSError:
            self._leave(PARENT_GONE)
