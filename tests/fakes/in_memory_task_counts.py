"""InMemoryTaskCounts: counts over an InMemoryTaskStore."""

from datetime import datetime

from common.domain.errors import DependencyUnavailableError
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryTaskCounts:
    """A TaskCounts for tests. `looks` counts the calls."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.looks = 0
        self.unavailable = False

    def active_of(self, user_id: str, *, at_most: int) -> int:
        self._look()
        own = [task for task in self._store.all_tasks if task.user_id == user_id]
        return min(at_most, sum(not task.status.is_terminal for task in own))

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        self._look()
        own = [task for task in self._store.all_tasks if task.user_id == user_id]
        return min(at_most, sum(task.created_at >= since for task in own))

    def queued(self, at_most: int) -> int:
        self._look()
        return min(at_most, sum(task.status == "queued" for task in self._store.all_tasks))

    def _look(self) -> None:
        self.looks += 1
        if self.unavailable:
            raise DependencyUnavailableError("firestore")
