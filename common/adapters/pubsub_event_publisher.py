"""PubSubEventPublisher: endings on the task-events topic, from where Pub/Sub pushes them to the API."""

from common.adapters.pubsub_topic import PubSubTopic
from common.domain.task import Task
from common.observability.tracing import injected
from common.wire_formats.task_event import encode_task_event, ending_of, task_event_attributes


class PubSubEventPublisher:
    """The EventPublisher of production and of the local stack."""

    def __init__(self, topic: PubSubTopic) -> None:
        self._topic = topic

    def publish(self, task: Task) -> None:
        """See EventPublisher.publish."""
        event = ending_of(task)
        self._topic.publish(encode_task_event(event), injected(task_event_attributes(event)))
