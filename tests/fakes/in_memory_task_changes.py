"""InMemoryTaskChanges: a TaskChanges over the in-memory store.

It passes the same contract tests as the emulator.
"""

import threading
from collections.abc import Callable

from common.domain.task import Task
from frontend_api.streams.ports import TaskListSnapshot, TaskSnapshot
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryTaskChanges:
    """A TaskChanges for tests: calls subscribers on the thread that writes."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.begun = threading.Semaphore(0)
        """Released once per new subscription."""

    @property
    def subscribers(self) -> int:
        return len(self._store.observers)

    def subscribe(self, task: Task, on_change: Callable[[TaskSnapshot], None]) -> Callable[[], None]:
        def observe(task_id: str, state: Task | None) -> None:
            if task_id == task.id:
                on_change(TaskSnapshot(task=state))

        self._store.observers.append(observe)
        stored = {each.id: each for each in self._store.all_tasks}.get(task.id)
        if stored is None or stored.revision != task.revision:
            on_change(TaskSnapshot(task=stored))
        self.begun.release()
        return lambda: self._store.observers.remove(observe)

    def subscribe_to_list(
        self, user_id: str, count: int, on_change: Callable[[TaskListSnapshot], None]
    ) -> Callable[[], None]:
        def report() -> None:
            own = [task for task in self._store.all_tasks if task.user_id == user_id]
            newest = sorted(own, key=lambda task: (task.created_at, task.id), reverse=True)
            on_change(TaskListSnapshot(tasks=tuple(newest[:count])))

        def observe(_task_id: str, _state: Task | None) -> None:
            report()

        self._store.observers.append(observe)
        report()
        self.begun.release()
        return lambda: self._store.observers.remove(observe)
