"""Restarting the Firestore emulator before its heap is full: near that point it collects garbage and answers nobody.

It keeps every version of every document, and a restart from an export keeps the latest ones only.
"""

import time
from collections.abc import Callable

import psutil

from local_stack.processes import ChildProcess

MOST_BYTES = 1_700_000_000
"""Of the process, whose heap may grow to 2 GiB: it grows when a collection leaves it more than half full."""
_LOOK_SECONDS = 5.0
_LEAST_PAUSE_SECONDS = 600.0
"""Documents that need so much by themselves must not restart it for ever."""


class MemoryRelief:
    """Decides when, saves the documents, and ends the process. The supervisor starts it again."""

    def __init__(
        self, save: Callable[[], None], *, most_bytes: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`save` may raise OSError; the process is then left alone until the next look."""
        self._save = save
        self._most_bytes = most_bytes
        self._now = now
        self._looked_at = float("-inf")
        self._relieved_at = float("-inf")

    def look(self, process: ChildProcess) -> str | None:
        """Do what is due now. Returns a sentence for the person at the terminal when the process was ended."""
        now = self._now()
        if now - self._looked_at < _LOOK_SECONDS or now - self._relieved_at < _LEAST_PAUSE_SECONDS:
            return None
        self._looked_at = now
        try:
            used = int(psutil.Process(process.pid).memory_info().rss)
            if used <= self._most_bytes:
                return None
            self._save()  # so that little is to be replayed
        except (OSError, psutil.Error):
            return None
        self._relieved_at = now
        process.ask_to_stop()
        return f"{process.name} uses {used // 1_000_000} MB; it is restarted with its documents."
