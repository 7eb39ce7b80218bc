"""PubSubDeadLetters: what the worker gives up on, beside what Pub/Sub itself gives up on."""

from gpu_subscriber.adapters.pubsub_topic import PubSubTopic
from gpu_subscriber.ports import Delivery

_MAX_BODY_BYTES = 1_000_000
"""A larger body is cut: with our attributes it might not fit into a message any more."""
_MAX_ATTRIBUTES = 90
"""Pub/Sub takes 100 attributes a message; the rest is ours."""


class PubSubDeadLetters:
    """The DeadLetters of production and of the local stack."""

    def __init__(self, topic: PubSubTopic, *, subscription: str) -> None:
        self._topic = topic
        self._subscription = subscription

    def publish(self, delivery: Delivery, *, reason: str) -> None:
        """See DeadLetters.publish."""
        attributes = dict(list(delivery.attributes.items())[:_MAX_ATTRIBUTES])
        attributes |= {
            "dead_letter_reason": reason[:1_000],
            "dead_letter_subscription": self._subscription,
            "dead_letter_message_id": delivery.message_id,
            "dead_letter_body_bytes": str(len(delivery.body)),
        }
        self._topic.publish(delivery.body[:_MAX_BODY_BYTES], attributes)
