"""AnnouncedUploads: the bytes of pictures that are on their way to the bucket."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

LIFETIME = timedelta(days=1)
"""How long an upload may take."""
LEAST_COUNTED_BYTES = 100_000
"""So the limit of bytes also limits the number of inputs, which each upload lists."""


@dataclass(frozen=True, slots=True)
class _Announced:
    user_id: str
    size_bytes: int
    expires_at: datetime


class AnnouncedUploads:
    """Uploads that this process has begun and not completed.

    A bucket shows no unfinished file, so the limit of an owner's bytes counts the announced sizes.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, _Announced] = {}
        """By id, in the order of their start, and so of their expiry."""
        self._bytes: Counter[str] = Counter()
        """Of each owner."""

    def __len__(self) -> int:
        with self._lock:
            return len(self._uploads)

    def bytes_of(self, user_id: str) -> int:
        with self._lock:
            return self._bytes[user_id]

    def add(self, user_id: str, upload_id: str, *, size_bytes: int, now: datetime) -> None:
        counted = max(size_bytes, LEAST_COUNTED_BYTES)
        with self._lock:
            while self._uploads and self._uploads[oldest := next(iter(self._uploads))].expires_at <= now:
                self._forget(oldest)
            self._uploads[upload_id] = _Announced(user_id, counted, now + LIFETIME)
            self._bytes[user_id] += counted

    def remove(self, user_id: str, upload_id: str) -> None:
        with self._lock:
            upload = self._uploads.get(upload_id)
            if upload is not None and upload.user_id == user_id:
                self._forget(upload_id)

    def _forget(self, upload_id: str) -> None:
        upload = self._uploads.pop(upload_id)
        self._bytes[upload.user_id] -= upload.size_bytes
        if not self._bytes[upload.user_id]:
            del self._bytes[upload.user_id]
