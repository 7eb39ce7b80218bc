"""PubSubDeadLetters: what the worker gives up on, beside what Pub/Sub itself gives up on."""

from common.adapters.pubsub_topic import PubSubTopic
from common.wire_formats.dead_letter_origin import DeadLetterOrigin, encode_dead_letter_origin
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
        origin = DeadLetterOrigin(
            reason=reason,
            subscription=self._subscription,
            message_id=delivery.message_id,
            delivery_count=delivery.delivery_attempt,
            body_bytes=len(delivery.body),
        )
        attributes |= encode_dead_letter_origin(origin)
        self._topic.publish(delivery.body[:_MAX_BODY_BYTES], attributes)
