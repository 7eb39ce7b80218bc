"""Restart the Firestore emulator before its heap is full and it stops responding.

The emulator keeps every version of every document. A restart from an export keeps only the latest
versions.
"""

import time
from collections.abc import Callable

import psutil

from local_stack.processes.child_process import ChildProcess

DEFAULT_LIMIT_BYTES = 1_700_000_000
"""Resident memory. The heap has at most 2 GiB, and grows while it is more than half full."""
_POLL_SECONDS = 5.0
_MIN_INTERVAL_SECONDS = 600.0
"""Prevents an endless loop of restarts when the documents alone need that much memory."""


class MemoryWatchdog:
    """Exports the documents and stops the process, which the supervisor restarts."""

    def __init__(
        self, save: Callable[[], None], *, limit_bytes: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._save = save
        self._limit_bytes = limit_bytes
        self._now = now
        self._checked_at = float("-inf")
        self._stopped_at = float("-inf")

    def check(self, process: ChildProcess) -> str | None:
        """Check the memory. Returns a notice when the process was stopped."""
        now = self._now()
        if now - self._checked_at < _POLL_SECONDS or now - self._stopped_at < _MIN_INTERVAL_SECONDS:
            return None
        self._checked_at = now
        try:
            used = int(psutil.Process(process.pid).memory_info().rss)
            if used <= self._limit_bytes:
                return None
            self._save()  # so that the journal to replay is short
        except (OSError, psutil.Error):
            return None
        self._stopped_at = now
        process.ask_to_stop()
        return f"{process.name} uses {used // 1_000_000} MB; it is restarted with its documents."
