"""Webhooks, signed independently with the Standard Webhooks library."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook

from darkroom.errors import WebhookRejectedError
from darkroom.webhooks import verify_webhook
from scripted import task_json

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps(
    {"type": "task.completed", "timestamp": "2026-01-01T12:00:00Z", "data": task_json("completed")}
).encode()


def signed(body: bytes = BODY, *, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    moment = at or datetime.now(timezone.utc)
    return {
        "Webhook-Id": "event-1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("event-1", moment, body.decode()),
    }


def test_verify_webhook_returns_the_event() -> None:
    event = verify_webhook(BODY, signed(), SECRET)
    assert (event.id, event.type, event.data.status) == ("event-1", "task.completed", "completed")


def test_verify_webhook_accepts_either_secret_in_a_rotation() -> None:
    for secret in (SECRET, OLD_SECRET):
        assert verify_webhook(BODY, signed(secret=secret), SECRET, OLD_SECRET).id == "event-1"


FORGERIES: dict[str, tuple[bytes, Callable[[], dict[str, str]]]] = {
    "another body": (BODY + b" ", signed),
    "another secret": (BODY, lambda: signed(secret=OLD_SECRET)),
    "too long ago": (BODY, lambda: signed(at=datetime.now(timezone.utc) - timedelta(minutes=6))),
    "not yet": (BODY, lambda: signed(at=datetime.now(timezone.utc) + timedelta(minutes=6))),
    "no signature": (BODY, dict),
    "another id": (BODY, lambda: signed() | {"Webhook-Id": "event-2"}),
    "no moment": (BODY, lambda: signed() | {"webhook-timestamp": "now"}),
    "no version": (BODY, lambda: signed() | {"webhook-signature": "nonsense"}),
    "no base64": (BODY, lambda: signed() | {"webhook-signature": "v1,é"}),
    "not text": (b"\xff", signed),
    "a list": (b"[]", lambda: signed(b"[]")),
    "nothing": (b"null", lambda: signed(b"null")),
    "no event": (b"{}", lambda: signed(b"{}")),
}


@pytest.mark.parametrize(("body", "headers"), FORGERIES.values(), ids=FORGERIES)
def test_verify_webhook_rejects_forgeries(body: bytes, headers: Callable[[], dict[str, str]]) -> None:
    with pytest.raises(WebhookRejectedError):
        verify_webhook(body, headers(), SECRET)


def test_verify_webhook_requires_a_secret() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        verify_webhook(BODY, signed())


def test_verify_webhook_raises_value_error_for_an_invalid_secret() -> None:
    with pytest.raises(ValueError, match="base64"):
        verify_webhook(BODY, signed(), "whsec_x")
