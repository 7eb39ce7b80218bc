"""RecordingEventPublisher and RecordingDeadLetters: record published messages, or raise."""

import threading

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.wire_formats.task_event import TaskEvent, ending_of, progress_of, start_of
from gpu_subscriber.ports import Delivery


class RecordingEventPublisher:
    def __init__(self) -> None:
        self.events: list[TaskEvent] = []
        self.failures_left = 0
        self.published = threading.Event()

    def publish(self, task: Task) -> None:
        self._publish(ending_of(task))

    def publish_start(self, task: Task) -> None:
        self._publish(start_of(task))

    def publish_progress(self, task: Task) -> None:
        self._publish(progress_of(task))

    def _publish(self, event: TaskEvent) -> None:
        if self.failures_left > 0:
            self.failures_left -= 1
            raise DependencyUnavailableError("pubsub")
        self.events.append(event)
        self.published.set()


class RecordingDeadLetters:
    def __init__(self) -> None:
        self.published: list[tuple[Delivery, str]] = []
        self.unavailable = False

    def publish(self, delivery: Delivery, *, reason: str) -> None:
        if self.unavailable:
            raise DependencyUnavailableError("pubsub")
        self.published.append((delivery, reason))
