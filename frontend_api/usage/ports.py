"""The port that sums the usage of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """The usage of tasks, in GPU seconds."""

    tasks: int
    gpu_seconds: float
    """Spent on images that were kept."""
    wasted_gpu_seconds: float
    """Spent on lost attempts."""

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        return UsageTotals(
            tasks=self.tasks + other.tasks,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            wasted_gpu_seconds=self.wasted_gpu_seconds + other.wasted_gpu_seconds,
        )


NO_USAGE = UsageTotals(tasks=0, gpu_seconds=0.0, wasted_gpu_seconds=0.0)


class UsageBook(Protocol):
    """Sums the usage of tasks in the store. Raises DependencyUnavailableError."""

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        """Return the totals of one user's tasks that finished on each of these days in UTC.

        Deleted tasks still count. All days are read from one snapshot, so that a task that is
        deleted meanwhile is counted once.
        """
