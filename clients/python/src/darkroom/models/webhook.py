"""Webhook secrets, and the deliveries of a task's events."""

from pydantic import AwareDatetime, Field

from darkroom.models.record import Record


class WebhookSecret(Record):
    """A secret that signs webhooks, for `verify_webhook`."""

    secret: str = Field(repr=False)
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    """When it stops signing; None until a rotation."""


class WebhookSecrets(Record):
    """The valid secrets, newest first."""

    secrets: tuple[WebhookSecret, ...]


class WebhookTry(Record):
    """One request to the receiver: its response status, or why there was none."""

    at: AwareDatetime
    status: int | None = None
    error: str | None = None
    duration_seconds: float


class WebhookDelivery(Record):
    """The delivery of one event; `state` is `pending`, `delivered`, `abandoned` or `stopped`."""

    number: int
    event_id: str
    type: str
    timestamp: AwareDatetime
    url: str
    state: str
    delivered_at: AwareDatetime | None = None
    retry_at: AwareDatetime | None = None
    """When it may be tried next; None unless it is pending."""
    tries_made: int
    tries: tuple[WebhookTry, ...] = ()
    """The latest tries, oldest first."""


class WebhookDeliveries(Record):
    """The deliveries of one task, oldest first."""

    deliveries: tuple[WebhookDelivery, ...]
    stopped_at: AwareDatetime | None = None
    """When the receiver returned 410, which stops deliveries."""
