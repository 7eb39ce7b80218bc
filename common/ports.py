"""The doors through which use cases reach the world: what they may expect, and which errors may come back.

Implementations live in `common/adapters` and, for the tests, in `tests/fakes`; one contract suite runs on both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.domain.task import Task, TaskStatus


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

    def delete(self, task_id: str) -> None:
        """Remove the task; deleting twice is no error."""
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
        self, *, never_enqueued_before: datetime, enqueued_before: datetime, now: datetime, limit: int
    ) -> tuple[Task, ...]:
        """Tasks that perhaps nobody will touch again, at most `limit` of each kind, without duplicates.

        They are: queued, never enqueued, and submitted before `never_enqueued_before`; queued, and last enqueued
        before `enqueued_before`; processing under a claim that expired before `now`; queued past their
        `start_by`.
        """
        ...
