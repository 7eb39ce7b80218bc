"""Downloads with a total time. Google's library limits the time of each read only.

A body that arrives byte by byte would otherwise hold its thread for hours.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from google.api_core.retry import Retry
from google.cloud.storage import Blob
from google.cloud.storage import Client as StorageClient
from requests import Response


class Downloads:
    """Downloads objects with a client. Thread-safe."""

    def __init__(self, client: StorageClient, *, seconds: float, read_seconds: float, retry: Retry) -> None:
        """A download takes at most `seconds` in total, and each read of it `read_seconds`."""
        self._seconds = seconds
        self._read_seconds = read_seconds
        self._retry = retry
        self._running = threading.local()
        """The end and the timers of a thread's download."""
        client._http.hooks["response"].append(self._limit)

    def bytes_of(self, blob: Blob) -> bytes:
        """Return the object's bytes. Raises as Blob.download_as_bytes."""
        self._running.end, self._running.timers = time.monotonic() + self._seconds, []
        try:
            content: bytes = blob.download_as_bytes(timeout=self._read_seconds, retry=self._retry)
        finally:
            for timer in self._running.timers:
                timer.cancel()
            del self._running.end
        return content

    def _limit(self, response: Response, *_: Any, **__: Any) -> None:
        """Let the response end when the time of its download is over. It has arrived without its body."""
        if (end := getattr(self._running, "end", None)) is None:
            return
        timer = threading.Timer(max(0, end - time.monotonic()), _shut_down, (response,))
        timer.daemon = True
        self._running.timers.append(timer)
        timer.start()


def _shut_down(response: Response) -> None:
    with suppress(RuntimeError, ValueError):  # the body has arrived
        response.raw.shutdown()
