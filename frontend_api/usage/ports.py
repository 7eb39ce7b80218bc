"""The port that sums the usage of tasks."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from frontend_api.usage.totals import UsageTotals


class UsageBook(Protocol):
    """Sums the usage of tasks in the store. Raises DependencyUnavailableError."""

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        """Return the totals of one user's tasks that finished on each of these days in UTC.

        Deleted tasks still count. All days are read from one snapshot, so that a task that is
        deleted meanwhile is counted once.
        """
        ...
