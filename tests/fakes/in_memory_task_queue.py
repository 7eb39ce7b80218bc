"""InMemoryTaskQueue: a TaskQueue that records the published tasks."""

import threading

from common.domain.task import Task
from tests.fakes.outage import Outage


class InMemoryTaskQueue(Outage):
    service = "pubsub"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.published: list[Task] = []

    def publish(self, *tasks: Task) -> None:
        self._check()
        with self._lock:
            self.published.extend(tasks)
