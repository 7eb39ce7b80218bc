"""The doors through which use cases reach the world: what they may expect, and which errors may come back.

Implementations live in `common/adapters` and, for the tests, in `tests/fakes`; one contract suite runs on both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from common.domain.task import Task, TaskStatus
from common.domain.worker_report import WorkerReport


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One page of a caller's tasks, newest first; `next_page_token` is None on the last one."""

    tasks: tuple[Task, ...]
    next_page_token: str | None


class InvalidPageTokenError(ValueError):
    """The page token was not made by this store."""


class Unattended(StrEnum):
    """Why perhaps nobody will touch a task again."""

    NEVER_ENQUEUED = "never_enqueued"
    """Queued before a moment, and no message for it was ever confirmed."""
    MESSAGE_LOST = "message_lost"
    """Still queued, though its last message was confirmed before a moment."""
    CLAIM_DEAD = "claim_dead"
    """Processing under a claim that expired before a moment."""
    OVERDUE = "overdue"
    """Queued, and to be started before a moment."""
    UNCLAIMED = "unclaimed"
    """Queued since before a moment."""
    UNTOLD = "untold"
    """Ended, and its event not confirmed since before a moment."""


class EventPublisher(Protocol):
    """Tells the world of tasks. Each method returns when the broker has it, or raises DependencyUnavailableError."""

    def publish(self, task: Task) -> None:
        """Publish the ending of a terminal task; the same ending gives the same event id each time."""
        ...

    def publish_start(self, task: Task) -> None:
        """Publish that a worker began with a task, which it has claimed."""
        ...

    def publish_progress(self, task: Task) -> None:
        """Publish how far a claimed task is."""
        ...


class TaskStore(Protocol):
    """Where tasks are kept: the truth of the whole system.

    Every method raises DependencyUnavailableError when the store does not answer in time.
    """

    def create(self, task: Task) -> Task:
        """Store a task whose id is unused and return it with its revision; raises TaskAlreadyExistsError."""
        ...

    def get(self, task_id: str) -> Task:
        """The task as it stands; raises TaskNotFoundError."""
        ...

    def update(self, task_id: str, change: Callable[[Task], Task], *, last_seen: Task | None = None) -> Task:
        """Apply a pure change to the stored task and return what was written.

        The write is conditional on the stored task being the one that `change` was given; when it was not, the
        task is read and changed again, until it holds. So `change` may run several times and must be pure. With
        `last_seen` (a task this store returned) the first try saves the read. A change that returns its argument
        unchanged writes nothing. Raises TaskNotFoundError, and whatever `change` raises.
        """
        ...

    def delete(self, task_id: str, *, now: datetime) -> None:
        """Remove the task and keep its UsageEntry, both or neither; deleting twice is no error and one entry."""
        ...

    def delete_unchanged(self, task: Task) -> bool:
        """Remove a task that this store returned if it still is as it was, and what it had cost with it.

        False when it has changed or is gone.
        """
        ...

    def list_for(
        self,
        user_id: str,
        *,
        status: TaskStatus | None = None,
        model: str | None = None,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> TaskPage:
        """A page of one caller's tasks, newest first; raises InvalidPageTokenError."""
        ...

    def list_unattended(
        self, kind: Unattended, *, before: datetime, limit: int, after: Task | None = None
    ) -> tuple[Task, ...]:
        """A page of at most `limit` tasks that perhaps nobody will touch again, those that wait longest first.

        `before` is the moment that the kind speaks of; `after` is the last task of the page before.
        """
        ...

    def list_expired(self, *, now: datetime, limit: int, after: Task | None = None) -> tuple[Task, ...]:
        """A page of at most `limit` tasks that have ended and whose `expires_at` is past, oldest first."""
        ...


class WorkerReports(Protocol):
    """Where workers say what they are and how fast. Every method raises DependencyUnavailableError."""

    def publish(self, report: WorkerReport) -> None:
        """Keep it in place of the same worker's earlier one."""
        ...

    def alive(self, now: datetime) -> tuple[WorkerReport, ...]:
        """The reports of those workers that are alive, in any order."""
        ...

    def latest(self, model: str, *, limit: int) -> tuple[WorkerReport, ...]:
        """Of the workers that know what the model takes, dead or alive, at most `limit`; the last to live first."""
        ...
