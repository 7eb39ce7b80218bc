"""InMemoryTaskWatch: a TaskWatch over the in-memory store.

It passes the same contract tests as the emulator.
"""

import threading
from collections.abc import Callable

from common.domain.task import Task
from frontend_api.streams.ports import Sighting
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryTaskWatch:
    """A TaskWatch for tests: calls followers on the thread that writes."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.begun = threading.Semaphore(0)
        """Released once per new follower."""

    @property
    def followers(self) -> int:
        """The number of followers."""
        return len(self._store.observers)

    def follow(self, task: Task, tell: Callable[[Sighting], None]) -> Callable[[], None]:
        def observe(task_id: str, state: Task | None) -> None:
            if task_id == task.id:
                tell(Sighting(task=state))

        self._store.observers.append(observe)
        stored = {each.id: each for each in self._store.all_tasks}.get(task.id)
        if stored is None or stored.revision != task.revision:
            tell(Sighting(task=stored))
        self.begun.release()
        return lambda: self._store.observers.remove(observe)
