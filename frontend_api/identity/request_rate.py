"""RequestRate: a coarse limit of one caller's requests of any kind."""

import threading
from collections.abc import MutableMapping

from cachetools import LRUCache

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.clock_minute import minute_of, seconds_to_next_minute

_MAX_CALLERS = 10_000
"""Maximum number of counted callers; an evicted caller begins again."""
_LISTED_PER_REQUEST = 20
"""Their processor time is that of some requests for single tasks."""


class RequestRateExceededError(DomainError):
    code = "quota_exceeded"
    retryable = True

    def __init__(self, limit: int, *, retry_after_seconds: int) -> None:
        super().__init__(f"at most {limit} requests of one caller are accepted per minute")
        self.retry_after_seconds = retry_after_seconds


class RequestRate:
    """Counts the requests of this process per clock minute. Safe to share between threads."""

    def __init__(self, *, limit: int, clock: Clock) -> None:
        self.limit = limit
        """0 means no limit."""
        self._clock = clock
        self._lock = threading.Lock()
        self._window = clock.now()
        self._counts: MutableMapping[str, int] = LRUCache(_MAX_CALLERS)

    def count(self, user_id: str, requests: int = 1) -> None:
        """Count some requests. Raises RequestRateExceededError if the limit does not permit all."""
        if self.take(user_id, requests) < requests:
            raise self.exceeded()

    def take(self, user_id: str, wanted: int) -> int:
        """Count up to `wanted` requests. Return how many the limit permits."""
        if not self.limit:
            return wanted
        with self._lock:
            self._begin_window()
            count = self._counts.get(user_id, 0)
            granted = max(0, min(wanted, self.limit - count))
            if granted:
                self._counts[user_id] = count + granted
        return granted

    def count_listed(self, user_id: str, tasks: int, *, counted: int = 0) -> None:
        """Count a list of tasks that was read: each further 20 tasks of it as a request.

        `counted` is how many tasks of the list were counted before. It is not refused any more.
        """
        self.take(user_id, _further_requests(tasks) - _further_requests(counted))

    def remaining(self, user_id: str, *, at_most: int) -> int:
        """Return how many more requests the limit permits in this minute."""
        return min(at_most, max(0, self.limit - self.used(user_id))) if self.limit else at_most

    def exceeded(self) -> RequestRateExceededError:
        seconds = seconds_to_next_minute(self._clock.now())
        return RequestRateExceededError(self.limit, retry_after_seconds=seconds)

    def used(self, user_id: str) -> int:
        with self._lock:
            self._begin_window()
            return self._counts.get(user_id, 0)

    def _begin_window(self) -> None:
        window = minute_of(self._clock.now())
        if window != self._window:
            self._window = window
            self._counts.clear()


def _further_requests(tasks: int) -> int:
    return max(0, tasks - 1) // _LISTED_PER_REQUEST
