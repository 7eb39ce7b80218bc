"""The engine's end of the pipe: a thread that hears, a thread that speaks, and the end when nobody is there.

Free of torch, so that it listens before the seconds-long imports begin.
"""

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Thread

from gpu_subscriber.engine.exit_codes import PARENT_GONE
from gpu_subscriber.engine.messages import FromEngine, ToEngine

ORPHAN_CHECK_SECONDS = 2.0


class ParentLink:
    """Messages from and to the parent. Neither `send` nor the engine's loop ever waits for a slow parent.

    When the parent dies the process ends at once, mid-step or not: the end of the pipe says so, and should a third
    process hold a copy of the pipe, the parent's process id does. (Linux's parent-death signal would not do: it
    fires when the *thread* that started the engine ends.)
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
        """Start both threads."""
        self._listener.start()
        self._speaker.start()

    def close(self) -> None:
        """Say what is still unsaid; nothing can be sent afterwards."""
        self._unsaid.put(None)
        self._speaker.join()

    def send(self, message: FromEngine) -> None:
        """Queue a message for the parent."""
        self._unsaid.put(message)

    def next(self, *, wait: bool, within_seconds: float | None = None) -> ToEngine | None:
        """The oldest message not yet taken; None when there is none and `wait` is off, or when none came in time."""
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
