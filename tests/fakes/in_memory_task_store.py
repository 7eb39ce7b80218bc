"""InMemoryTaskStore: a TaskStore in a dictionary.

It passes the same contract tests as the emulator.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from common.domain.errors import DependencyUnavailableError, TaskAlreadyExistsError, TaskNotFoundError
from common.domain.task import Task, TaskStatus
from common.domain.usage_entry import UsageEntry
from common.ports import ALL_TASKS, InvalidPageTokenError, StaleTaskKind, TaskFilter, TaskPage
from tests.fakes.outage import Outage


class InMemoryTaskStore(Outage):
    """A TaskStore for tests.

    With `loses_answers` creations succeed but raise, as when the response arrives too late.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._usage_entries: list[UsageEntry] = []
        self._lock = threading.RLock()
        self._writes = 0
        self.loses_answers = False
        self.observers: list[Callable[[str, Task | None], None]] = []
        """Called for each write with the task's id and new state, None for a deletion."""

    @property
    def all_tasks(self) -> tuple[Task, ...]:
        return self.tasks_and_usage_entries[0]

    @property
    def tasks_and_usage_entries(self) -> tuple[tuple[Task, ...], tuple[UsageEntry, ...]]:
        """Return the stored tasks and the usage entries of the deleted ones, as one consistent
        snapshot.
        """
        with self._lock:
            return tuple(self._tasks.values()), tuple(self._usage_entries)

    def create(self, task: Task) -> Task:
        with self._lock:
            self._check()
            if task.id in self._tasks:
                raise TaskAlreadyExistsError(task.id)
            stored = self._stored(task)
            if self.loses_answers:
                raise DependencyUnavailableError("firestore")
            return stored

    def get(self, task_id: str) -> Task:
        with self._lock:
            self._check()
            if task_id not in self._tasks:
                raise TaskNotFoundError(task_id)
            return self._tasks[task_id]

    def update(self, task_id: str, change: Callable[[Task], Task], *, last_seen: Task | None = None) -> Task:
        with self._lock:
            before = self.get(task_id)
            after = change(before)
            return before if after is before else self._stored(after)

    def delete(self, task_id: str, *, now: datetime) -> None:
        with self._lock:
            self._check()
            task = self._tasks.get(task_id)
            if task is not None:
                self._usage_entries.append(UsageEntry.of_deleted(task, now))
                self._removed(task_id)

    def delete_unchanged(self, task: Task) -> bool:
        with self._lock:
            self._check()
            stored = self._tasks.get(task.id)
            if stored is None or stored.revision != task.revision:
                return False
            self._removed(task.id)
            return True

    def list_for(
        self,
        user_id: str,
        *,
        only: TaskFilter = ALL_TASKS,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> TaskPage:
        with self._lock:
            self._check()
            mine = [
                task for task in self._tasks.values() if task.user_id == user_id and _is_selected(task, only)
            ]
        mine.sort(key=lambda task: (task.created_at, task.id), reverse=True)
        if page_token is not None:
            reached = _decode_page_token(page_token)
            mine = [task for task in mine if (task.created_at, task.id) < reached]
        page = tuple(mine[:page_size])
        return TaskPage(
            tasks=page, next_page_token=_encode_page_token(page[-1]) if len(mine) > page_size else None
        )

    def list_unattended(
        self, kind: StaleTaskKind, *, before: datetime, limit: int, after: Task | None = None
    ) -> tuple[Task, ...]:
        def waits_since(task: Task) -> datetime | None:
            if kind is StaleTaskKind.EVENT_UNPUBLISHED:
                return task.event_pending_since
            if task.status is TaskStatus.PROCESSING:
                return task.claim.expires_at if kind is StaleTaskKind.CLAIM_EXPIRED and task.claim else None
            if task.status is not TaskStatus.QUEUED:
                return None
            match kind:
                case StaleTaskKind.NEVER_ENQUEUED:
                    return task.queued_at if task.enqueued_at is None else None
                case StaleTaskKind.MESSAGE_LOST:
                    return task.enqueued_at
                case StaleTaskKind.DEADLINE_EXCEEDED:
                    return task.start_by
                case StaleTaskKind.UNCLAIMED:
                    return task.queued_at
            return None

        return self._oldest_first(waits_since, before, limit, after)

    def list_expired(self, *, now: datetime, limit: int, after: Task | None = None) -> tuple[Task, ...]:
        return self._oldest_first(
            lambda task: task.expires_at if task.status.is_terminal else None, now, limit, after
        )

    def _oldest_first(
        self, moment_of: Callable[[Task], datetime | None], before: datetime, limit: int, after: Task | None
    ) -> tuple[Task, ...]:
        reached = None if after is None else (moment_of(after), after.id)
        with self._lock:
            self._check()
            places = [(moment_of(task), task.id) for task in self._tasks.values()]
            found = sorted(place for place in places if place[0] is not None and place[0] < before)
            page = [place for place in found if reached is None or place > reached][:limit]
            return tuple(self._tasks[task_id] for _, task_id in page)

    def _stored(self, task: Task) -> Task:
        self._writes += 1
        stored = replace(task, revision=str(self._writes))
        self._tasks[task.id] = stored
        for observer in self.observers:
            observer(task.id, stored)
        return stored

    def _removed(self, task_id: str) -> None:
        del self._tasks[task_id]
        for observer in self.observers:
            observer(task_id, None)


def _is_selected(task: Task, only: TaskFilter) -> bool:
    return (
        only.status in (None, task.status)
        and only.model in (None, task.parameters.model)
        and (only.label is None or only.label in task.labels.items())
        and (only.created_after is None or task.created_at >= only.created_after)
        and (only.created_before is None or task.created_at < only.created_before)
    )


def _encode_page_token(last: Task) -> str:
    return f"{last.created_at.isoformat()} {last.id}".encode().hex()


def _decode_page_token(token: str) -> tuple[datetime, str]:
    """Return the time and the id of the last task of a page, which may be deleted by now."""
    try:
        created_at, _, task_id = bytes.fromhex(token).decode().partition(" ")
        return datetime.fromisoformat(created_at), task_id
    except ValueError as error:
        raise InvalidPageTokenError("this page token was not made here") from error
