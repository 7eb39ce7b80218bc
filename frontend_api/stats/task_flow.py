"""TaskFlow: the port that counts recently queued and finished tasks, and its records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from common.domain.task import TaskStatus
from frontend_api.usage.totals import UsageTotals


class TaskFlow(Protocol):
    """Counts existing tasks of all users in the store. Raises DependencyUnavailableError."""

    def arrived(self, model: str, *, since: datetime) -> int:
        """Count the tasks of one model queued since then, in any status; a retry counts again."""
        ...

    def ended(self, model: str, *, since: datetime) -> int:
        """Count the tasks of one model that finished since then, in any terminal state."""
        ...

    def totals(self, status: TaskStatus, *, since: datetime) -> UsageTotals:
        """Sum the tasks that finished with this status since then."""
        ...

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        """Count the tasks that failed since then, by failure code.

        Of more than `at_most` tasks, the earliest are counted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """Counts of tasks within half an hour and within an hour."""

    half_hour: Mapping[TaskStatus, UsageTotals] = field(default_factory=dict)
    """Completed and failed tasks."""
    hour: Mapping[TaskStatus, UsageTotals] = field(default_factory=dict)
    """Every terminal status."""
    failure_codes: Mapping[str, int] = field(default_factory=dict)
    """Within the hour."""
    growth: Mapping[str, int] = field(default_factory=dict)
    """Arrived minus finished tasks within half an hour, of models with a queue above the limit."""
