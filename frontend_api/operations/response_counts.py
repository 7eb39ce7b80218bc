"""ResponseCounts: how many responses of this process failed within the last minutes."""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.ports import Clock
from frontend_api.clock_minute import minute_of

KEPT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseShare:
    """Responses within KEPT. `failed`: those with a status of 500 or higher."""

    all: int = 0
    failed: int = 0

    def __add__(self, other: "ResponseShare") -> "ResponseShare":
        return ResponseShare(all=self.all + other.all, failed=self.failed + other.failed)

    def with_response(self, status: int) -> "ResponseShare":
        return self + ResponseShare(all=1, failed=int(status >= 500))


class ResponseCounts:
    """Counts responses by the minute. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: deque[tuple[datetime, ResponseShare]] = deque()

    def add(self, status: int) -> None:
        now = minute_of(self._clock.now())
        with self._lock:
            counted = ResponseShare()
            if self._minutes and self._minutes[-1][0] == now:
                counted = self._minutes.pop()[1]
            self._minutes.append((now, counted.with_response(status)))
            while self._minutes[0][0] < now - KEPT:
                self._minutes.popleft()

    def lately(self) -> ResponseShare:
        since = self._clock.now() - KEPT
        with self._lock:
            counted = [counts for minute, counts in self._minutes if minute >= since]
        return sum(counted, ResponseShare())
