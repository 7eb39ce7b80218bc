"""QueueGauge: the port through which the API measures the queue. Its fake is in `tests/fakes`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.domain.task import TaskStatus
from frontend_api.workload import ActiveTask, Backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """How the queue stands, of one model or of all."""

    queued: int
    oldest_queued_at: datetime | None
    """Since when the task has been queued that waits longest."""
    processing: int
    completed_lately: int


class QueueGauge(Protocol):
    """Measures the queue, in the store itself. Every method raises DependencyUnavailableError."""

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        """How the queue of one model stands, or with None the queue of all."""
        ...

    def queued_before(self, model: str, moment: datetime) -> int:
        """How many tasks of one model are queued that became so before a moment."""
        ...

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        """How much work of one model has not ended; of what is queued only that which became so before a moment."""
        ...

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        """The queued and processing tasks of all models, in any order; some of them when there are more."""
        ...

    def statuses(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """The status of each of these tasks; a deleted task is left out."""
        ...

    def dead_letters(self) -> int:
        """How many dead letters are kept."""
        ...
