"""A project and a bucket per test on the shared emulators, isolated from the data of other tests."""

import uuid
from dataclasses import dataclass

from google.pubsub_v1.types import DeadLetterPolicy, PubsubMessage, Subscription

from common.adapters.grpc_channels import publisher_client
from common.shared_values import SHARED
from gpu_subscriber.adapters.gcs_bucket import open_bucket
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from local_stack.provisioning import ResourceNames, provision_bucket
from tests.emulators import Emulators

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A delivered message."""

    body: bytes
    attributes: dict[str, str]


class OwnResources:
    """Topics, subscriptions and a bucket, provisioned on the emulators."""

    def __init__(self, emulators: Emulators) -> None:
        unique = uuid.uuid4().hex[:12]
        self.emulators = emulators
        self.names = ResourceNames(project_id=f"demo-{unique}", images_bucket=f"images-{unique}")
        provision_bucket(emulators.storage_url, self.names)
        self.bucket = open_bucket(self.names.project_id, self.names.images_bucket, connections=4)
        self.publisher = publisher_client(emulator_host=emulators.pubsub_host)
        self.subscriber = subscriber_client(emulator_host=emulators.pubsub_host)
        for topic in (self.names.tasks_topic, self.names.events_topic, self.names.dead_letter_topic):
            self.publisher.create_topic(name=self._topic(topic))
        self._subscribe(self.names.events_subscription, self.names.events_topic)
        self._subscribe(self.names.dead_letter_subscription, self.names.dead_letter_topic)
        self.subscribe_to_tasks()

    def subscribe_to_tasks(self) -> None:
        """Create the workers' subscription. Only with a dead-letter policy Pub/Sub counts deliveries."""
        dead_letters = DeadLetterPolicy(
            dead_letter_topic=self._topic(self.names.dead_letter_topic),
            max_delivery_attempts=SHARED.pubsub.max_delivery_attempts,
        )
        self._subscribe(self.names.tasks_subscription("demo"), self.names.tasks_topic, dead_letters)

    def unsubscribe_from_tasks(self) -> None:
        """Delete the workers' subscription, and with it the waiting messages."""
        subscription = self._subscription(self.names.tasks_subscription("demo"))
        self.subscriber.delete_subscription(subscription=subscription)

    def publish(self, topic: str, body: bytes, attributes: dict[str, str]) -> None:
        """Publish a message on a topic."""
        messages = [PubsubMessage(data=body, attributes=attributes)]
        self.publisher.publish(topic=self._topic(topic), messages=messages, timeout=_PATIENCE_SECONDS)

    def pull(self, subscription: str, *, count: int = 1) -> list[Message]:
        """Wait for this many messages and acknowledge them."""
        path = self._subscription(subscription)
        pulled: list[Message] = []
        while len(pulled) < count:
            answer = self.subscriber.pull(
                subscription=path, max_messages=count - len(pulled), timeout=_PATIENCE_SECONDS
            )
            received = answer.received_messages
            if received:
                self.subscriber.acknowledge(subscription=path, ack_ids=[one.ack_id for one in received])
            pulled += [
                Message(body=one.message.data, attributes=dict(one.message.attributes)) for one in received
            ]
        return pulled

    def _subscribe(self, subscription: str, topic: str, policy: DeadLetterPolicy | None = None) -> None:
        self.subscriber.create_subscription(
            request=Subscription(
                name=self._subscription(subscription),
                topic=self._topic(topic),
                ack_deadline_seconds=60,
                dead_letter_policy=policy,
            )
        )

    def _topic(self, name: str) -> str:
        return f"projects/{self.names.project_id}/topics/{name}"

    def _subscription(self, name: str) -> str:
        return f"projects/{self.names.project_id}/subscriptions/{name}"
