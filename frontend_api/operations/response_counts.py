"""ResponseCounts: how many responses of this process failed, minute by minute."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.ports import Clock
from frontend_api.clock_minute import minute_of

_LATELY = timedelta(minutes=5)
_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseShare:
    """Numbers of responses. `failed`: those with a status of 500 or higher."""

    all: int = 0
    failed: int = 0

    def __add__(self, other: "ResponseShare") -> "ResponseShare":
        return ResponseShare(all=self.all + other.all, failed=self.failed + other.failed)

    def with_response(self, status: int) -> "ResponseShare":
        return self + ResponseShare(all=1, failed=int(status >= 500))


class ResponseCounts:
    """Counts the responses of this process by the minute, and keeps an hour. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: dict[datetime, ResponseShare] = {}

    def add(self, status: int) -> None:
        with self._lock:
            now = minute_of(self._clock.now())
            if now not in self._minutes:
                self._minutes = {at: counts for at, counts in self._minutes.items() if at > now - _KEPT}
            self._minutes[now] = self._minutes.get(now, ResponseShare()).with_response(status)

    def lately(self) -> ResponseShare:
        """Return the sum of the last five minutes."""
        since = self._clock.now() - _LATELY
        with self._lock:
            return sum((counts for at, counts in self._minutes.items() if at >= since), ResponseShare())

    def of_complete_minutes(self, *, after: datetime | None) -> dict[datetime, ResponseShare]:
        """Return the counts of the kept minutes that are over, and later than `after`."""
        now = minute_of(self._clock.now())
        with self._lock:
            return {
                at: counts
                for at, counts in self._minutes.items()
                if at < now and (after is None or at > after)
            }
