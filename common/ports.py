"""Ports of the use cases: the interfaces to infrastructure, with their errors.

Implementations are in `common/adapters` and, for tests, in `tests/fakes`; one contract suite runs
on both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from common.domain.task import Task, TaskStatus
from common.domain.worker_report import WorkerReport


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One page of a caller's tasks, newest first; `next_page_token` is None on the last one."""

    tasks: tuple[Task, ...]
    next_page_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Selects tasks of a list; None selects all."""

    status: TaskStatus | None = None
    model: str | None = None
    label: tuple[str, str] | None = None
    """Name and value."""
    created_after: datetime | None = None
    """The earliest time of creation."""
    created_before: datetime | None = None
    """A time that is later than that of creation."""


ALL_TASKS = TaskFilter()


class InvalidPageTokenError(ValueError):
    """The page token was not created by this store."""


class StaleTaskKind(StrEnum):
    """Reasons why a task may be stuck."""

    NEVER_ENQUEUED = "never_enqueued"
    """Queued before a given time, and publishing its message was never confirmed."""
    MESSAGE_LOST = "message_lost"
    """Still queued, although its last message was confirmed before a given time."""
    CLAIM_EXPIRED = "claim_expired"
    """Processing under a claim that expired before a given time."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """Queued, and its start deadline is before a given time."""
    UNCLAIMED = "unclaimed"
    """Queued since before a given time."""
    EVENT_UNPUBLISHED = "event_unpublished"
    """Finished before a given time, and publishing its final event was never confirmed."""


class EventPublisher(Protocol):
    """Publishes task events.

    Each method returns when the broker has confirmed the event, or raises
    DependencyUnavailableError.
    """

    def publish(self, task: Task) -> None:
        """Publish the final event of a terminal task; the event id is the same on each call."""
        ...

    def publish_start(self, task: Task) -> None:
        """Publish that a worker started the task, which it has claimed."""
        ...

    def publish_progress(self, task: Task) -> None:
        """Publish the progress of a claimed task."""
        ...


class TaskStore(Protocol):
    """The store of tasks, which is the source of truth.

    Every method raises DependencyUnavailableError if the store does not answer in time.
    """

    def create(self, task: Task) -> Task:
        """Store a task whose id is unused and return it with its revision; raises TaskAlreadyExistsError."""
        ...

    def get(self, task_id: str) -> Task:
        """Return the current task; raises TaskNotFoundError."""
        ...

    def update(self, task_id: str, change: Callable[[Task], Task], *, last_seen: Task | None = None) -> Task:
        """Apply a pure change to the stored task and return the written task.

        The write is conditional: if the stored task has changed since `change` was applied, the task is
        read and changed again. So `change` may run several times and must be pure. With `last_seen` (a
        task this store returned) the first attempt saves the read. A change that returns its argument
        unchanged writes nothing. Raises TaskNotFoundError and the errors of `change`.
        """
        ...

    def delete(self, task_id: str, *, now: datetime) -> None:
        """Delete the task and store its UsageEntry, atomically.

        Deleting twice is no error and stores one entry.
        """
        ...

    def delete_unchanged(self, task: Task) -> bool:
        """Delete a task that this store returned, if it is unchanged, and its usage with it.

        Returns False if it has changed or was deleted.
        """
        ...

    def list_for(
        self,
        user_id: str,
        *,
        only: TaskFilter = ALL_TASKS,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> TaskPage:
        """Return a page of one caller's tasks, newest first; raises InvalidPageTokenError."""
        ...

    def list_unattended(
        self, kind: StaleTaskKind, *, before: datetime, limit: int, after: Task | None = None
    ) -> tuple[Task, ...]:
        """Return a page of at most `limit` tasks that may be stuck, longest waiting first.

        `before` is the time in the definition of the kind; `after` is the last task of the previous
        page.
        """
        ...

    def list_expired(self, *, now: datetime, limit: int, after: Task | None = None) -> tuple[Task, ...]:
        """Return a page of at most `limit` terminal tasks whose `expires_at` is past, oldest first."""
        ...


class WorkerReports(Protocol):
    """The store of worker reports. Every method raises DependencyUnavailableError."""

    def publish(self, report: WorkerReport) -> None:
        """Store a report in place of the same worker's earlier one."""
        ...

    def alive(self, now: datetime) -> tuple[WorkerReport, ...]:
        """Return the reports of live workers, in any order."""
        ...

    def latest(self, model: str, *, limit: int) -> tuple[WorkerReport, ...]:
        """Return at most `limit` workers with measured times for the model, dead or alive.

        The latest ones come first.
        """
        ...
