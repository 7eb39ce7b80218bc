"""InMemoryTaskQueue: a TaskQueue that records the published tasks."""

import threading

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task


class InMemoryTaskQueue:
    """A TaskQueue for tests. With `unavailable` it fails as with an unreachable Pub/Sub."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.published: list[Task] = []
        self.unavailable = False

    def publish(self, *tasks: Task) -> None:
        if self.unavailable:
            raise DependencyUnavailableError("pubsub")
        with self._lock:
            self.published.extend(tasks)
