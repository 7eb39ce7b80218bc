"""Retry policy: which failures are retried, and after which delay."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Rate limited or unavailable. A 500 is retried only if its problem says `retryable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter; never sooner than the server's Retry-After."""

    max_retries: int = 4
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 8.0
    longest_retry_after_seconds: float = 60.0
    """A longer Retry-After is not waited for: the error is raised at once."""
    chance: Callable[[], float] = random.random
    """Random number from 0 to 1 for the jitter, so that clients that failed together do not retry
    together.
    """

    def pause_seconds(self, failures: int, retry_after_seconds: float | None) -> float | None:
        """Return the pause after that many consecutive failures; None to stop retrying."""
        minimum = retry_after_seconds or 0.0
        if failures > self.max_retries or minimum > self.longest_retry_after_seconds:
            return None
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (failures - 1))
        return max(minimum, longest * (0.5 + self.chance() / 2))


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Parse a Retry-After header (seconds or date) to seconds; None if missing or invalid."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)  # infinity, if it has too many digits
    moment = parsed_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - (now or datetime.now(timezone.utc))).total_seconds())


def parsed_date(header: str) -> datetime | None:
    """Parse the date in a header; None if it is invalid."""
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
