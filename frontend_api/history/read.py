"""Read the history of the last hours, grouped into buckets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from common.ports import Clock
from frontend_api.cache import Cached
from frontend_api.clock_minute import minute_of
from frontend_api.history.minutes import Bucket, bucket_minutes, bucket_start, bucketed
from frontend_api.history.ports import MinuteHistory

MAX_HOURS = 24
_TTL = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOfHours:
    since: datetime
    until: datetime
    """The end of the last complete minute."""
    bucket: timedelta
    buckets: tuple[Bucket, ...]


class ReadHistory:
    """Safe to share between threads. Reads at most one document more than the number of hours."""

    def __init__(self, *, history: MinuteHistory, clock: Clock) -> None:
        self._history = history
        self._of_hours = {
            hours: Cached(partial(self._read, hours), ttl=_TTL, clock=clock)
            for hours in range(1, MAX_HOURS + 1)
        }

    def __call__(self, hours: int) -> HistoryOfHours:
        """Return the last hours, at most 15 seconds old. Raises DependencyUnavailableError."""
        return self._of_hours[hours]()

    def _read(self, hours: int, now: datetime) -> HistoryOfHours:
        until, size = minute_of(now), bucket_minutes(hours)
        since = bucket_start(until - timedelta(hours=hours), size)
        buckets = bucketed(self._history.read(since, until), size)
        return HistoryOfHours(since=since, until=until, bucket=timedelta(minutes=size), buckets=buckets)
