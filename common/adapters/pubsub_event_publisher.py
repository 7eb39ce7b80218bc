"""Publisher of task events to the task-events topic, which Pub/Sub pushes to the API."""

from common.adapters.pubsub_topic import PubSubTopic
from common.domain.task import Task
from common.observability.tracing import carried_on
from common.wire_formats.task_event import (
    TaskEvent,
    encode_task_event,
    ending_of,
    progress_of,
    start_of,
    task_event_attributes,
)


class PubSubEventPublisher:
    """The EventPublisher of production and of the local stack."""

    def __init__(self, topic: PubSubTopic) -> None:
        self._topic = topic

    def publish(self, task: Task) -> None:
        self._publish(ending_of(task))

    def publish_start(self, task: Task) -> None:
        self._publish_of_attempt(start_of(task), task)

    def publish_progress(self, task: Task) -> None:
        self._publish_of_attempt(progress_of(task), task)

    def _publish_of_attempt(self, event: TaskEvent, task: Task) -> None:
        """Publish in the trace of the attempt; the calling thread has no current span."""
        with carried_on(None if task.claim is None else task.claim.traceparent):
            self._publish(event)

    def _publish(self, event: TaskEvent) -> None:
        self._topic.publish(encode_task_event(event), task_event_attributes(event))
