"""Dead letters of the worker, in addition to those of Pub/Sub itself."""

from common.adapters.pubsub_topic import PubSubTopic
from common.wire_formats.dead_letter_origin import DeadLetterOrigin, encode_dead_letter_origin
from gpu_subscriber.ports import Delivery

_MAX_BODY_BYTES = 1_000_000
"""Larger bodies are truncated: with our attributes they might exceed a message's size limit."""
_MAX_ATTRIBUTES = 90
"""Pub/Sub accepts 100 attributes per message; the others are ours."""


class PubSubDeadLetters:
    """The DeadLetters of production and of the local stack."""

    def __init__(self, topic: PubSubTopic, *, subscription: str) -> None:
        self._topic = topic
        self._subscription = subscription

    def publish(self, delivery: Delivery, *, reason: str) -> None:
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
