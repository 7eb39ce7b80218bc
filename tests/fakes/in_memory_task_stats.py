"""InMemoryTaskStats: counts over an InMemoryTaskStore."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from common.domain.task import Lane, Task, TaskStatus
from frontend_api.stats.backlog import ActiveTask, Backlog, Work, WorkOfCaller
from frontend_api.stats.ports import QueueLine
from frontend_api.usage.ports import UsageTotals
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.outage import Outage

ACTIVE = tuple(status for status in TaskStatus if not status.is_terminal)


class InMemoryTaskStats(Outage):
    """A TaskStats for tests. `calls` counts the calls of each method."""

    def __init__(self, store: InMemoryTaskStore, dead_letters: InMemoryDeadLetterArchive) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self.calls: Counter[str] = Counter()

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        self._called("line")
        queued = self._tasks(TaskStatus.QUEUED, model=model)
        completed = self._tasks(TaskStatus.COMPLETED, model=model)
        return QueueLine(
            queued=len(queued),
            oldest_queued_at=min((task.queued_at for task in queued), default=None),
            processing=len(self._tasks(TaskStatus.PROCESSING, model=model)),
            completed_lately=len(_finished_since(completed, completed_since)),
        )

    def queued(self, *, at_most: int) -> int:
        self._called("queued")
        return min(at_most, len(self._tasks(TaskStatus.QUEUED)))

    def queued_before(self, model: str, moment: datetime) -> int:
        self._called("queued_before")
        return sum(task.queued_at < moment for task in self._tasks(TaskStatus.QUEUED, model=model))

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        self._called("backlog")
        queued = [t for t in self._tasks(TaskStatus.QUEUED, model=model) if t.queued_at < queued_before]
        processing = self._tasks(TaskStatus.PROCESSING, model=model)
        return Backlog(queued=_work_by_lane(queued), processing=_work_by_lane(processing))

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        self._called("active")
        active = [ActiveTask.of(task) for task in self._store.all_tasks if not task.status.is_terminal]
        return tuple(active[:at_most])

    def statuses(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        self._called("statuses")
        return {task.id: task.status for task in self._store.all_tasks if task.id in task_ids}

    def dead_letters(self) -> int:
        self._called("dead_letters")
        return len(self._dead_letters.list_page(page_size=1_000).letters)

    def active_of(self, user_id: str, *, at_most: int) -> int:
        self._called("active_of")
        own = [task for task in self._store.all_tasks if task.user_id == user_id]
        return min(at_most, sum(not task.status.is_terminal for task in own))

    def work_of(self, user_id: str, models: Collection[str]) -> dict[str, WorkOfCaller]:
        self._called("work_of")
        active = [t for t in self._tasks(*ACTIVE) if t.user_id == user_id]
        return {model: _work_of([t for t in active if t.parameters.model == model]) for model in models}

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        self._called("submitted_by")
        own = [task for task in self._store.all_tasks if task.user_id == user_id]
        return min(at_most, sum(task.created_at >= since for task in own))

    def arrived(self, model: str, *, since: datetime) -> int:
        self._called("arrived")
        return sum(task.queued_at >= since for task in self._tasks(*TaskStatus, model=model))

    def finished(self, model: str, *, since: datetime) -> int:
        self._called("finished")
        return len(_finished_since(self._tasks(*TaskStatus, model=model), since))

    def totals(self, status: TaskStatus, *, since: datetime, before: datetime | None = None) -> UsageTotals:
        self._called("totals")
        tasks = [
            task
            for task in _finished_since(self._tasks(status), since)
            if before is None or (task.finished_at is not None and task.finished_at < before)
        ]
        return UsageTotals(
            tasks=len(tasks),
            gpu_seconds=sum(task.usage.gpu_seconds or 0.0 for task in tasks),
            wasted_gpu_seconds=sum(task.usage.wasted_gpu_seconds for task in tasks),
        )

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        self._called("failure_codes")
        failed = _finished_since(self._tasks(TaskStatus.FAILED), since)[:at_most]
        return Counter(task.failure.code for task in failed if task.failure)

    def _tasks(self, *statuses: TaskStatus, model: str | None = None) -> list[Task]:
        return [
            task
            for task in self._store.all_tasks
            if task.status in statuses and model in (None, task.parameters.model)
        ]

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        self._check()


def _work_of(tasks: list[Task]) -> WorkOfCaller:
    return WorkOfCaller(
        units=sum(task.work_units for task in tasks),
        used_gpu_seconds=sum(
            (task.usage.gpu_seconds or 0.0) + task.usage.wasted_gpu_seconds for task in tasks
        ),
    )


def _finished_since(tasks: list[Task], since: datetime) -> list[Task]:
    """Return the tasks that finished at `since` or later, earliest first."""
    finished = [(task.finished_at, task) for task in tasks if task.finished_at is not None]
    return [task for at, task in sorted(finished, key=lambda one: one[0]) if at >= since]


def _work_by_lane(tasks: list[Task]) -> dict[Lane, Work]:
    of_lane = {lane: [task for task in tasks if task.lane is lane] for lane in Lane}
    return {
        lane: Work(tasks=len(some), units=sum(task.work_units for task in some))
        for lane, some in of_lane.items()
    }
