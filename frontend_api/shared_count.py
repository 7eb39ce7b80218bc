"""SharedCount: a count that many processes add to, kept under a limit without asking for it each time."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from common.ports import Clock

_LOOKED_AGAIN_AFTER = timedelta(seconds=1)
"""Before somebody is refused; so a full queue costs one count a second and not one a request."""
_OWN_SHARE = 10
"""One part in so many of the limit may be given away between two looks."""


class SharedCount:
    """How many there are: as the store counted them at the last look, and what this process added since.

    A look is needed once a tenth of the limit was given away since the last one, and before anybody is refused.
    So a rare caller costs no look at all, and n processes together overstep the limit by (n − 1) tenths of it at most.
    What ends meanwhile is noticed at the next look. Safe to share between threads.
    """

    def __init__(
        self, *, limit: int, count: Callable[[int], int], clock: Clock, counts_what_is_gone: bool = False
    ) -> None:
        self._limit = limit
        self._count = count
        """Asks the store; need not go on counting beyond its argument."""
        self._clock = clock
        self._counts_what_is_gone = counts_what_is_gone
        self._lock = threading.Lock()
        self._looked_at: datetime | None = None
        self._found = 0
        self._given = 0
        """Given away by this process, ever; kept includes only those that are known to be stored."""
        self._kept = 0
        self._kept_at_look = 0

    @property
    def left(self) -> int:
        """How many more there may be, as far as this process knows."""
        with self._lock:
            return max(0, self._limit - self._estimate)

    def take(self, wanted: int = 1) -> int:
        """Add as many as that, as far as the limit allows; how many. Raises DependencyUnavailableError."""
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
        """So many of what was taken are stored now, and will be found at the next look."""
        with self._lock:
            self._kept += count

    def give_back(self, count: int = 1) -> None:
        """So many of what was taken came to nothing."""
        with self._lock:
            self._given -= count

    def _given_away(self, wanted: int) -> int:
        granted = max(0, min(wanted, self._limit - self._estimate))
        self._given += granted
        return granted

    @property
    def _estimate(self) -> int:
        # Whatever was taken and not yet known to be stored when the look began is added to what was found: it may be
        # counted twice until the next look, but never not at all.
        now = self._found + self._given - self._kept_at_look
        return max(now, self._given) if self._counts_what_is_gone else now
