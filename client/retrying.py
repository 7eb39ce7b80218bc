"""RetryPolicy: which failures are worth another try, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Too much, or not now. A 500 is tried again only where its problem says that this may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with jitter; never sooner than the server asks."""

    max_retries: int = 4
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 8.0
    longest_retry_after_seconds: float = 60.0
    """Whoever asks for more patience gets an error at once instead."""
    chance: Callable[[], float] = random.random
    """0 to 1; so that a crowd that failed together does not come back together."""

    def pause_seconds(self, failures: int, retry_after_seconds: float | None) -> float | None:
        """How long to pause after that many failures in a row; None: give up."""
        asked = retry_after_seconds or 0.0
        if failures > self.max_retries or asked > self.longest_retry_after_seconds:
            return None
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (failures - 1))
        return max(asked, longest * (0.5 + self.chance() / 2))


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Retry-After in seconds, from either of its two forms; None when it is absent or neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())
