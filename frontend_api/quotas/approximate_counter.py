"""ApproximateCounter: keeps a count of many processes under a limit, without a read per addition."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from common.ports import Clock

_LOOKED_AGAIN_AFTER = timedelta(seconds=1)
"""Minimum time between counts before rejections.

A full queue costs one count per second, not one per request.
"""
_OWN_SHARE = 10
"""Each process may take this fraction (1/10) of the limit between two counts."""


class ApproximateCounter:
    """The store's latest count plus what this process has added since.

    The store counts again after this process has taken a tenth of the limit since the last count,
    and before it rejects a caller. A rare caller therefore costs no count, and n processes together
    exceed the limit by at most (n − 1) tenths. Finished tasks are noticed at the next count. Safe
    to share between threads.
    """

    def __init__(
        self, *, limit: int, count: Callable[[int], int], clock: Clock, counts_what_is_gone: bool = False
    ) -> None:
        self._limit = limit
        self._count = count
        """Reads the store; may stop counting at its argument."""
        self._clock = clock
        self._counts_what_is_gone = counts_what_is_gone
        self._lock = threading.Lock()
        self._looked_at: datetime | None = None
        self._found = 0
        self._given = 0
        """Taken by this process in total; `_kept` includes only what is known to be stored."""
        self._kept = 0
        self._kept_at_look = 0

    @property
    def left(self) -> int:
        """The remaining number, as far as this process has counted."""
        with self._lock:
            return max(0, self._limit - self._estimate)

    def take(self, wanted: int = 1) -> int:
        """Take up to `wanted` and return how many were taken. Raises DependencyUnavailableError."""
        with self._lock:
            room = self._limit - self._estimate
            share = max(1, self._limit // _OWN_SHARE) - (self._given - self._kept_at_look)
            if wanted <= min(room, share):
                return self._given_away(wanted)
            now = self._clock.now()
            looked_lately = self._looked_at is not None and now - self._looked_at < _LOOKED_AGAIN_AFTER
            if wanted > room and looked_lately:
                return self._given_away(wanted)
            kept = self._kept
        found = self._count(self._limit)
        with self._lock:
            self._looked_at, self._found, self._kept_at_look = now, found, kept
            return self._given_away(wanted)

    def keep(self, count: int = 1) -> None:
        """Confirm that `count` of the taken tasks are stored; the next count includes them."""
        with self._lock:
            self._kept += count

    def give_back(self, count: int = 1) -> None:
        """Release `count` of the taken tasks, because they were not stored."""
        with self._lock:
            self._given -= count

    def _given_away(self, wanted: int) -> int:
        granted = max(0, min(wanted, self._limit - self._estimate))
        self._given += granted
        return granted

    @property
    def _estimate(self) -> int:
        # Tasks taken but not known to be stored when the count began are added to the count. They
        # may be counted twice until the next count, but they are never omitted.
        now = self._found + self._given - self._kept_at_look
        return max(now, self._given) if self._counts_what_is_gone else now
