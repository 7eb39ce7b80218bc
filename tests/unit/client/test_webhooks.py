"""Webhooks, signed as a stranger would by the Standard Webhooks library."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from client.errors import WebhookRejectedError
from client.webhooks import verify_webhook
from tests.unit.client.scripted import task_json

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps(
    {"type": "task.completed", "timestamp": "2026-01-01T12:00:00Z", "data": task_json("completed")}
).encode()


def signed(body: bytes = BODY, *, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "Webhook-Id": "event-1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("event-1", moment, body.decode()),
    }


def test_what_is_signed_is_believed() -> None:
    event = verify_webhook(BODY, signed(), SECRET)
    assert (event.id, event.type, event.data.status) == ("event-1", "task.completed", "completed")


def test_either_secret_does_while_one_replaces_the_other() -> None:
    for secret in (SECRET, OLD_SECRET):
        assert verify_webhook(BODY, signed(secret=secret), SECRET, OLD_SECRET).id == "event-1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY + b" ", signed()),
        (BODY, signed(secret=OLD_SECRET)),
        (BODY, signed(at=datetime.now(UTC) - timedelta(minutes=6))),
        (BODY, signed(at=datetime.now(UTC) + timedelta(minutes=6))),
        (BODY, {}),
        (BODY, {**signed(), "Webhook-Id": "event-2"}),
        (BODY, {**signed(), "webhook-timestamp": "now"}),
        (BODY, {**signed(), "webhook-signature": "nonsense"}),
        (BODY, {**signed(), "webhook-signature": "v1,é"}),
        (b"\xff", signed()),
        (b"[]", signed(b"[]")),
        (b"null", signed(b"null")),
        (b"{}", signed(b"{}")),
    ],
)
def test_anything_else_is_rejected(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRejectedError):
        verify_webhook(body, headers, SECRET)


def test_without_a_secret_nothing_can_be_verified() -> None:
    with pytest.raises(ValueError, match="without a secret"):
        verify_webhook(BODY, signed())


def test_a_secret_that_is_none_is_the_receivers_fault() -> None:
    with pytest.raises(ValueError, match="base64"):
        verify_webhook(BODY, signed(), "whsec_x")
