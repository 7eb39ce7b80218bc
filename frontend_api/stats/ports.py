"""The port that counts tasks in the store."""

from datetime import datetime
from typing import Protocol


class TaskCounts(Protocol):
    """Counts tasks in the store. Every method raises DependencyUnavailableError.

    A count stops at `at_most`, which bounds its cost.
    """

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """Count the queued and processing tasks of one user."""
        ...

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """Count the tasks of one user that were submitted at `since` or later and still exist."""
        ...

    def queued(self, at_most: int) -> int:
        """Count the queued tasks of all users."""
        ...
