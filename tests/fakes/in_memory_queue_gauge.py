"""InMemoryQueueGauge: the queue measured over an InMemoryTaskStore."""

from collections.abc import Collection
from datetime import datetime

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Lane, Task, TaskStatus
from frontend_api.stats.backlog import ActiveTask, Backlog, Work
from frontend_api.stats.queue_gauge import QueueLine
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryQueueGauge:
    """A QueueGauge for tests, which counts the measurements of the whole queue and of a model's
    backlog.
    """

    def __init__(self, store: InMemoryTaskStore, dead_letters: InMemoryDeadLetterArchive) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self.measurements = 0
        self.backlogs_measured = 0
        self.lists_read = 0
        self.statuses_read = 0
        self.places_counted = 0
        self.unavailable = False

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        self._check()
        self.measurements += model is None
        tasks = [task for task in self._store.all_tasks if model in (None, task.parameters.model)]
        queued = [task for task in tasks if task.status is TaskStatus.QUEUED]
        completed = [task for task in tasks if task.status is TaskStatus.COMPLETED]
        return QueueLine(
            queued=len(queued),
            oldest_queued_at=min((task.queued_at for task in queued), default=None),
            processing=sum(task.status is TaskStatus.PROCESSING for task in tasks),
            completed_lately=sum(
                task.finished_at is not None and task.finished_at >= completed_since for task in completed
            ),
        )

    def queued_before(self, model: str, moment: datetime) -> int:
        self._check()
        self.places_counted += 1
        return sum(
            (task.parameters.model, task.status) == (model, TaskStatus.QUEUED) and task.queued_at < moment
            for task in self._store.all_tasks
        )

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        self._check()
        self.backlogs_measured += 1
        tasks = [task for task in self._store.all_tasks if task.parameters.model == model]
        queued = [
            task for task in tasks if task.status is TaskStatus.QUEUED and task.queued_at < queued_before
        ]
        processing = [task for task in tasks if task.status is TaskStatus.PROCESSING]
        return Backlog(queued=_work_by_lane(queued), processing=_work_by_lane(processing))

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        self._check()
        self.lists_read += 1
        active = [ActiveTask.of(task) for task in self._store.all_tasks if not task.status.is_terminal]
        return tuple(active[:at_most])

    def statuses(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        self._check()
        self.statuses_read += 1
        return {task.id: task.status for task in self._store.all_tasks if task.id in task_ids}

    def dead_letters(self) -> int:
        self._check()
        return len(self._dead_letters.list_page(page_size=1_000).letters)

    def _check(self) -> None:
        if self.unavailable:
            raise DependencyUnavailableError("firestore")


def _work_by_lane(tasks: list[Task]) -> dict[Lane, Work]:
    of_lane = {lane: [task for task in tasks if task.lane is lane] for lane in Lane}
    return {
        lane: Work(tasks=len(some), units=sum(task.parameters.work_units for task in some))
        for lane, some in of_lane.items()
    }
