"""The attributes of a dead letter, whichever program wrote them."""

from datetime import timedelta

import pytest

from common.wire_formats.dead_letter_origin import (
    DeadLetterOrigin,
    decode_dead_letter_origin,
    encode_dead_letter_origin,
    own_attributes,
)
from tests.factories import NOW

ORIGIN = DeadLetterOrigin(
    reason="body is not JSON",
    subscription="darkroom-tasks-demo",
    message_id="17",
    delivery_count=3,
    published_at=NOW + timedelta(microseconds=1),
    body_bytes=12_345,
)


def test_origin_survives_the_round_trip() -> None:
    assert decode_dead_letter_origin({"model": "demo", **encode_dead_letter_origin(ORIGIN)}) == ORIGIN


def test_origin_attributes_have_stable_names() -> None:
    assert encode_dead_letter_origin(ORIGIN) == {
        "dead_letter_reason": "body is not JSON",
        "dead_letter_subscription": "darkroom-tasks-demo",
        "dead_letter_message_id": "17",
        "dead_letter_delivery_count": "3",
        "dead_letter_published_at": "2026-01-01T12:00:00.000001+00:00",
        "dead_letter_body_bytes": "12345",
    }


def test_reason_is_truncated_to_an_attribute() -> None:
    origin = DeadLetterOrigin(reason="x" * 5_000)
    assert encode_dead_letter_origin(origin) == {"dead_letter_reason": "x" * 1_000}


def test_pubsubs_dead_letter_attributes_are_read() -> None:
    assert decode_dead_letter_origin(
        {
            "CloudPubSubDeadLetterSourceSubscription": "darkroom-tasks-demo",
            "CloudPubSubDeadLetterSourceSubscriptionProject": "demo-darkroom",
            "CloudPubSubDeadLetterSourceDeliveryCount": "5",
            "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-01T12:00:00.133+00:00",
        }
    ) == DeadLetterOrigin(
        subscription="darkroom-tasks-demo",
        delivery_count=5,
        published_at=NOW + timedelta(milliseconds=133),
    )


@pytest.mark.parametrize("nonsense", ["", "-1", "²", "9" * 30, "soon", "2026-01-01T12:00:00", "\x00"])
def test_invalid_attributes_are_ignored(nonsense: str) -> None:
    names = ("dead_letter_delivery_count", "dead_letter_published_at", "dead_letter_body_bytes")
    assert decode_dead_letter_origin(dict.fromkeys(names, nonsense)) == DeadLetterOrigin()


def test_own_attributes_exclude_the_origin() -> None:
    own = {"model": "demo", "traceparent": "00-…"}
    googles = {"CloudPubSubDeadLetterSourceDeliveryCount": "5"}
    assert own_attributes({**own, **googles, **encode_dead_letter_origin(ORIGIN)}) == own
