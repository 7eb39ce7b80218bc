"""InMemoryTaskChanges: a TaskChanges over the in-memory store.

It passes the same contract tests as the emulator.
"""

import threading
from collections.abc import Callable

from common.domain.task import Task
from frontend_api.streams.ports import TaskSnapshot
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
