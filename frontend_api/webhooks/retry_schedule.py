"""RetrySchedule: when a delivery that failed is tried again. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """The pauses double: each is as long as the time since the first try, within the limits."""

    first_pause: timedelta = timedelta(seconds=30)
    longest_pause: timedelta = timedelta(minutes=10)
    lasts: timedelta = timedelta(days=1)
    """A failed try that starts later than this after the first one is the last."""

    def end_of(self, first_try: datetime) -> datetime:
        """Return when a delivery that is first tried at this time is abandoned."""
        return first_try + self.lasts

    def next_try(self, at: datetime, *, ends: datetime) -> datetime | None:
        """Return when to try again after a try `at`; None if that was the last.

        `ends` is the delivery's `end_of`.
        """
        if at >= ends:
            return None
        since_first = at - (ends - self.lasts)
        return at + min(max(since_first, self.first_pause), self.longest_pause)
