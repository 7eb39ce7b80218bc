"""The record of a dead message that operators read."""

import json
from datetime import timedelta
from typing import Any

import pytest

from common.wire_formats.task_message import encode_task_message
from frontend_api.dead_letters.dead_letter import (
    MAX_BODY_BYTES,
    DeadLetter,
    DeadLetterUndecodableError,
    DeadMessage,
    is_letter_id,
)
from tests.factories import NOW, submitted_task

TASK_BODY = encode_task_message(submitted_task(), result_bucket="images")


def letter_of(body: bytes, *, attributes: dict[str, str] | None = None, **changes: Any) -> DeadLetter:
    fields = {"message_id": "17", "published_at": NOW + timedelta(milliseconds=42), **changes}
    message = DeadMessage(body=body, attributes=attributes or {}, **fields)
    return DeadLetter.of(message, now=NOW, keep_for=timedelta(days=30))


def test_readable_letter_names_its_task() -> None:
    letter = letter_of(
        TASK_BODY, attributes={"model": "demo", "CloudPubSubDeadLetterSourceDeliveryCount": "100"}
    )
    assert (letter.task_id, letter.delivery_count, letter.attributes) == ("task-1", 100, {"model": "demo"})
    assert letter.reason == "not acknowledged within the maximum number of deliveries"
    assert letter.is_replayable
    assert letter.task_message().task_id == "task-1"
    assert letter.expires_at == NOW + timedelta(days=30)


def test_unreadable_letter_states_the_reason() -> None:
    assert letter_of(b"\xff").reason == "body is not JSON"
    attributes = {"dead_letter_reason": "version '2.0' is not 1.x"}
    assert letter_of(b"\xff", attributes=attributes).reason == "version '2.0' is not 1.x"
    assert letter_of(b"\xff").task_id is None
    assert not letter_of(b"\xff").is_replayable
    with pytest.raises(DeadLetterUndecodableError, match="body is not JSON"):
        letter_of(b"\xff").task_message()


def test_large_body_is_cut_and_its_size_kept() -> None:
    letter = letter_of(b"x" * 1_000_000, attributes={"dead_letter_body_bytes": "9000000"})
    assert (len(letter.body), letter.body_bytes, letter.body_is_cut) == (MAX_BODY_BYTES, 9_000_000, True)
    with pytest.raises(DeadLetterUndecodableError, match="9000000 bytes"):
        letter.task_message()


def test_cut_body_names_its_task_and_is_not_decoded_again() -> None:
    long = json.dumps({**json.loads(TASK_BODY), "unknown": "x" * 500_000}).encode()
    letter = letter_of(long)
    assert (letter.task_id, letter.is_replayable) == ("task-1", False)
    with pytest.raises(DeadLetterUndecodableError):
        letter.task_message()


def test_ids_sort_by_time_and_differ_for_equal_message_ids() -> None:
    first = letter_of(b"", message_id="1").id
    assert first == "20260101-120000-042-1"
    later = letter_of(b"", message_id="1", published_at=NOW + timedelta(seconds=1)).id
    assert later > first
    assert is_letter_id(first)
    assert not is_letter_id(f"{first}/x")
    assert not is_letter_id(f"{first}\n")
