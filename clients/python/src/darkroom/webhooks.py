"""Verification of webhook requests, by the Standard Webhooks library."""

import json
from collections.abc import Iterable
from typing import Protocol

from pydantic import AwareDatetime
from standardwebhooks import Webhook, WebhookVerificationError

from darkroom.errors import WebhookRejectedError
from darkroom.models.record import Record
from darkroom.models.task import Task


class WebhookEvent(Record):
    """An event of a task. The same `id` may be delivered more than once: ignore the repetitions."""

    id: str
    type: str
    timestamp: AwareDatetime
    data: Task


class Headers(Protocol):
    """The headers of a request, as all web frameworks provide them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""
        ...


def verify_webhook(body: bytes, headers: Headers, *secrets: str) -> WebhookEvent:
    """Return the event if one of the secrets signed the body within the last five minutes.

    `body` is the received body, byte for byte: JSON that was parsed and serialized again has
    another signature. Pass both secrets during a rotation. Raises WebhookRejectedError: respond
    with 400 then.
    """
    if not secrets:
        raise ValueError("at least one secret is required")
    lowercase = {name.lower(): value for name, value in headers.items()}
    reasons = [_rejection(body, lowercase, Webhook(secret)) for secret in secrets]
    if None not in reasons:
        raise WebhookRejectedError(reasons[0])
    try:
        return WebhookEvent.model_validate({**json.loads(body), "id": lowercase["webhook-id"]})
    except (ValueError, TypeError, RecursionError) as error:
        raise WebhookRejectedError("the signature is valid, but the body is not a task event") from error


def _rejection(body: bytes, headers: dict[str, str], signer: Webhook) -> str | None:
    try:
        signer.verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        return str(error)
    except ValueError as error:  # malformed signature or body
        return str(error) or type(error).__name__
    return None
