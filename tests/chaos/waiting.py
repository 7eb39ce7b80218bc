"""Polling for conditions without a notification, and pauses where elapsed time is the point."""

import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 0.05
_never = threading.Event()


def wait_for(holds: Callable[[], bool], what: str, *, timeout_seconds: float = 60.0) -> None:
    """Poll processes, files and sockets until `holds`. Raises TimeoutError."""
    until = time.monotonic() + timeout_seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {timeout_seconds:g} s for {what}")
        _never.wait(_POLL_SECONDS)


def pause(seconds: float) -> None:
    """Wait for the duration of an outage or a stall."""
    _never.wait(seconds)
