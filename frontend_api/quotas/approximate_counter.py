"""ApproximateCounter: keeps a sum of many processes under a limit, without a read per addition."""

import math
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from common.ports import Clock

_REFRESH_AFTER = timedelta(seconds=1)
"""Minimum time between counts before rejections.

A full queue costs one count per second, not one per request.
"""
_OWN_SHARE = 10
"""Each process may take this fraction (1/10) of the limit between two counts."""


class ApproximateCounter:
    """The store's latest sum plus what this process has added since.

    Each task counts with its amount: 1, or its GPU seconds. The store counts again after this
    process has taken a tenth of the limit since the last count, when the last count is older than
    `recount_after`, and before it rejects a caller. A rare caller therefore costs no count, and n
    processes together exceed the limit by at most (n − 1) tenths. Finished tasks are noticed at the
    next count. Thread-safe.
    """

    def __init__(
        self,
        *,
        limit: int,
        count: Callable[[int], float],
        clock: Clock,
        counts_deleted: bool = False,
        recount_after: timedelta | None = None,
    ) -> None:
        self.limit = limit
        self._count = count
        """Reads the store; may stop counting at its argument."""
        self._clock = clock
        self._counts_deleted = counts_deleted
        self._recount_after = recount_after
        """None: amounts in the store do not grow."""
        self._lock = threading.Lock()
        self._refreshed_at: datetime | None = None
        self._counted: float = 0
        self._granted: float = 0
        """Taken by this process in total; `_committed` includes only what is known to be stored."""
        self._committed: float = 0
        self._committed_at_refresh: float = 0

    @property
    def used(self) -> float:
        """The sum, as far as this process has counted."""
        with self._lock:
            return self._estimate

    @property
    def left(self) -> int:
        """The remaining amount, as far as this process has counted, rounded down."""
        return max(0, math.floor(self.limit - self.used))

    def take(self, amounts: Sequence[float] = (1,)) -> int:
        """Take the leading amounts that fit, and return how many. Raises DependencyUnavailableError.

        The first amount always fits if nothing else is counted, so that no task is too large for ever.
        """
        wanted = sum(amounts)
        with self._lock:
            remaining = self.limit - self._estimate
            share = max(1, self.limit / _OWN_SHARE) - (self._granted - self._committed_at_refresh)
            if wanted <= min(remaining, share) and not self._is_outdated:
                return self._grant(amounts)
            if wanted > remaining and self._is_younger(_REFRESH_AFTER):
                return self._grant(amounts)
        self._refresh()
        with self._lock:
            return self._grant(amounts)

    def take_regardless(self, amounts: Sequence[float]) -> None:
        """Take all amounts, even beyond the limit."""
        with self._lock:
            self._granted += sum(amounts)

    def commit(self, amount: float = 1) -> None:
        """Confirm that tasks of this amount are stored; the next count includes them."""
        with self._lock:
            self._committed += amount

    def release(self, amount: float = 1) -> None:
        """Release this amount, because its tasks were not stored."""
        with self._lock:
            self._granted -= amount

    def refresh(self) -> None:
        """Count, unless the last count is at most a second old. Raises DependencyUnavailableError."""
        with self._lock:
            if self._is_younger(_REFRESH_AFTER):
                return
        self._refresh()

    def _refresh(self) -> None:
        with self._lock:
            now, committed = self._clock.now(), self._committed
        found = self._count(self.limit)
        with self._lock:
            self._refreshed_at, self._counted, self._committed_at_refresh = now, found, committed

    def _grant(self, amounts: Sequence[float]) -> int:
        granted = 0
        for amount in amounts:
            if self._estimate > 0 and self._estimate + amount > self.limit:
                break
            self._granted += amount
            granted += 1
        return granted

    @property
    def _is_outdated(self) -> bool:
        return self._recount_after is not None and not self._is_younger(self._recount_after)

    def _is_younger(self, age: timedelta) -> bool:
        return self._refreshed_at is not None and self._clock.now() - self._refreshed_at < age

    @property
    def _estimate(self) -> float:
        # Tasks taken but not known to be stored when the count began are added to the count. They
        # may be counted twice until the next count, but they are never omitted.
        now = self._counted + self._granted - self._committed_at_refresh
        return max(now, self._granted) if self._counts_deleted else now
