"""TaskFlow: how many tasks came lately and what became of them, the port and its records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from common.domain.task import TaskStatus
from frontend_api.usage_totals import UsageTotals


class TaskFlow(Protocol):
    """Counts tasks of all users that still exist, in the store itself. Raises DependencyUnavailableError."""

    def arrived(self, model: str, *, since: datetime) -> int:
        """How many of one model were queued since then, whatever became of them; one that is retried counts anew."""
        ...

    def ended(self, model: str, *, since: datetime) -> int:
        """How many of one model ended since then, however they did."""
        ...

    def totals(self, status: TaskStatus, *, since: datetime) -> UsageTotals:
        """Of the tasks that ended with this status since then."""
        ...

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        """How many tasks failed since then, by their failure's code; of more than `at_most` those that did first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What became of tasks within half an hour and within an hour."""

    half_hour: Mapping[TaskStatus, UsageTotals] = field(default_factory=dict)
    """Of completed and failed ones."""
    hour: Mapping[TaskStatus, UsageTotals] = field(default_factory=dict)
    """Of every status that a task can end with."""
    failure_codes: Mapping[str, int] = field(default_factory=dict)
    """Within the hour."""
    growth: Mapping[str, int] = field(default_factory=dict)
    """How many more came than ended within half an hour, of each model with more waiting than the limit."""
