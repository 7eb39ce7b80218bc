"""Webhooks: whether a request really comes from darkroom, and what it says. Standard Webhooks, by their own library."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from client.errors import WebhookRejectedError
from client.record import Record
from client.task import Task


class WebhookEvent(Record):
    """What happened to a task. The same `id` may arrive more than once: treat the second as done."""

    id: str
    type: str
    timestamp: datetime
    data: Task


class Headers(Protocol):
    """A request's headers, as every web framework has them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""
        ...


def verify_webhook(body: bytes, headers: Headers, *secrets: str) -> WebhookEvent:
    """The event, if the body was signed with one of the secrets within the last five minutes.

    `body` is what arrived, byte for byte: JSON that was parsed and written again has another signature. Give both
    secrets while one replaces the other. Raises WebhookRejectedError: answer with 400 then.
    """
    if not secrets:
        raise ValueError("without a secret nothing can be verified")
    lowered = {name.lower(): value for name, value in headers.items()}
    reasons = [_reason_to_reject(body, lowered, Webhook(secret)) for secret in secrets]
    if None not in reasons:
        raise WebhookRejectedError(reasons[0])
    try:
        return WebhookEvent.model_validate({**json.loads(body), "id": lowered["webhook-id"]})
    except (ValidationError, ValueError, TypeError) as error:
        raise WebhookRejectedError("signed, but not an event of a task") from error


def _reason_to_reject(body: bytes, headers: dict[str, str], signer: Webhook) -> str | None:
    try:
        signer.verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        return str(error)
    except ValueError as error:  # a signature or a body that is none at all
        return str(error) or type(error).__name__
    return None
