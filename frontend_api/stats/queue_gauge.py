"""QueueGauge: the port through which the API measures the queue. Its fake is in `tests/fakes`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.domain.task import TaskStatus
from frontend_api.stats.backlog import ActiveTask, Backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """The state of the queue of one model or of all models."""

    queued: int
    oldest_queued_at: datetime | None
    """When the oldest queued task was queued."""
    processing: int
    completed_lately: int


class QueueGauge(Protocol):
    """Measures the queue in the store. Every method raises DependencyUnavailableError."""

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        """Measure the queue of one model, or of all models for None."""
        ...

    def queued_before(self, model: str, moment: datetime) -> int:
        """Count the tasks of one model that were queued before a moment."""
        ...

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        """Sum the processing work of one model and the work queued before a moment."""
        ...

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        """Return the queued and processing tasks of all models, in any order, at most `at_most`."""
        ...

    def statuses(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """Return the status of each of these tasks; deleted tasks are omitted."""
        ...

    def dead_letters(self) -> int:
        """Count the stored dead letters."""
        ...
