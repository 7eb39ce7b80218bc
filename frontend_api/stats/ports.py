"""TaskStats: the port that counts and sums the stored tasks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from common.domain.task import TaskStatus
from frontend_api.stats.backlog import ActiveTask, Backlog, WorkOfCaller
from frontend_api.usage.ports import UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """The state of the queue of one model or of all models."""

    queued: int
    oldest_queued_at: datetime | None
    """When the oldest queued task was queued."""
    processing: int
    completed_lately: int


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


class TaskStats(Protocol):
    """Counts the existing tasks of all users. Every method raises DependencyUnavailableError.

    A count with `at_most` stops there, which bounds its cost.
    """

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        """Measure the queue of one model, or of all models for None."""

    def queued(self, *, at_most: int) -> int:
        """Count the queued tasks."""

    def queued_before(self, model: str, moment: datetime) -> int:
        """Count the tasks of one model that were queued before a moment."""

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        """Sum the processing work of one model and the work queued before a moment."""

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        """Return the queued and processing tasks of all models, in any order, at most `at_most`."""

    def statuses(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """Return the status of each of these tasks; deleted tasks are omitted."""

    def dead_letters(self) -> int:
        """Count the stored dead letters."""

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """Count the queued and processing tasks of one user."""

    def work_of(self, user_id: str, models: Collection[str]) -> Mapping[str, WorkOfCaller]:
        """Sum the queued and processing tasks of one user, for each of these models."""

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """Count the tasks of one user that were submitted at `since` or later."""

    def arrived(self, model: str, *, since: datetime) -> int:
        """Count the tasks of one model queued since then, in any status; a retry counts again."""

    def finished(self, model: str, *, since: datetime) -> int:
        """Count the tasks of one model that finished since then, in any terminal state."""

    def totals(self, status: TaskStatus, *, since: datetime, before: datetime | None = None) -> UsageTotals:
        """Sum the tasks that finished with this status since then, and before `before`."""

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        """Count the tasks that failed since then, by failure code.

        Of more than `at_most` tasks, the earliest are counted.
        """
