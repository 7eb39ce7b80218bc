"""InMemoryTaskBatches: TaskBatches over the tasks of an InMemoryTaskStore."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from common.domain.errors import DependencyUnavailableError, DomainError, TaskNotFoundError
from common.domain.task import Task
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryTaskBatches:
    """TaskBatches for tests; unavailable when the store is. `calls` counts the calls."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.calls = 0

    def create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        self._ask()
        created = tuple(self._created(task) for task in tasks)
        if self._store.loses_answers:
            raise DependencyUnavailableError("firestore")
        return created

    def get(self, task_ids: Collection[str]) -> Mapping[str, Task]:
        self._ask()
        found: dict[str, Task] = {}
        for task_id in task_ids:
            with suppress(TaskNotFoundError):
                found[task_id] = self._store.get(task_id)
        return found

    def update_unchanged(
        self, tasks: Sequence[Task], change: Callable[[Task], Task]
    ) -> tuple[Task | None, ...]:
        self._ask()
        return tuple(self._updated(task, change) for task in tasks)

    def _created(self, task: Task) -> Task | DomainError:
        try:
            return self._store.create(task)
        except DomainError as error:
            return error

    def _updated(self, task: Task, change: Callable[[Task], Task]) -> Task | None:
        try:
            unchanged = self._store.get(task.id).revision == task.revision
        except TaskNotFoundError:
            return None
        return self._store.update(task.id, change) if unchanged else None

    def _ask(self) -> None:
        self.calls += 1
        if self._store.unavailable:
            raise DependencyUnavailableError("firestore")
