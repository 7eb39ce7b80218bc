"""ApproximateCounter: keeps a count of many processes under a limit, without a read per addition."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from common.ports import Clock

_REFRESH_AFTER = timedelta(seconds=1)
"""Minimum time between counts before rejections.

A full queue costs one count per second, not one per request.
"""
_OWN_SHARE = 10
"""Each process may take this fraction (1/10) of the limit between two counts."""


class ApproximateCounter:
    """The store's latest count plus what this process has added since.

    The store counts again after this process has taken a tenth of the limit since the last count,
    and before it rejects a caller. A rare caller therefore costs no count, and n processes together
    exceed the limit by at most (n − 1) tenths. Finished tasks are noticed at the next count. Thread-safe.
    """

    def __init__(
        self, *, limit: int, count: Callable[[int], int], clock: Clock, counts_deleted: bool = False
    ) -> None:
        self.limit = limit
        self._count = count
        """Reads the store; may stop counting at its argument."""
        self._clock = clock
        self._counts_deleted = counts_deleted
        self._lock = threading.Lock()
        self._refreshed_at: datetime | None = None
        self._counted = 0
        self._granted = 0
        """Taken by this process in total; `_committed` includes only what is known to be stored."""
        self._committed = 0
        self._committed_at_refresh = 0

    @property
    def left(self) -> int:
        """The remaining number, as far as this process has counted."""
        with self._lock:
            return max(0, self.limit - self._estimate)

    def take(self, wanted: int = 1) -> int:
        """Take up to `wanted` and return how many were taken. Raises DependencyUnavailableError."""
        with self._lock:
            remaining = self.limit - self._estimate
            share = max(1, self.limit // _OWN_SHARE) - (self._granted - self._committed_at_refresh)
            if wanted <= min(remaining, share):
                return self._grant(wanted)
            now = self._clock.now()
            refreshed_lately = self._refreshed_at is not None and now - self._refreshed_at < _REFRESH_AFTER
            if wanted > remaining and refreshed_lately:
                return self._grant(wanted)
            committed = self._committed
        found = self._count(self.limit)
        with self._lock:
            self._refreshed_at, self._counted, self._committed_at_refresh = now, found, committed
            return self._grant(wanted)

    def commit(self, count: int = 1) -> None:
        """Confirm that `count` of the taken tasks are stored; the next count includes them."""
        with self._lock:
            self._committed += count

    def release(self, count: int = 1) -> None:
        """Release `count` of the taken tasks, because they were not stored."""
        with self._lock:
            self._granted -= count

    def _grant(self, wanted: int) -> int:
        granted = max(0, min(wanted, self.limit - self._estimate))
        self._granted += granted
        return granted

    @property
    def _estimate(self) -> int:
        # Tasks taken but not known to be stored when the count began are added to the count. They
        # may be counted twice until the next count, but they are never omitted.
        now = self._counted + self._granted - self._committed_at_refresh
        return max(now, self._granted) if self._counts_deleted else now
