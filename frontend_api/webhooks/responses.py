"""Response schemas for deliveries and secrets."""

from datetime import datetime
from typing import Self

from pydantic import Field

from frontend_api.http.schemas import ResponseBody, fields_of
from frontend_api.webhooks.delivery_log import DeliveryState, WebhookDelivery, WebhookLog


class WebhookTryResponse(ResponseBody):
    """One request to the callback URL."""

    at: datetime
    status: int | None = Field(description="The receiver's response status; null without a response.")
    error: str | None = Field(description="Why there was no response.")
    duration_seconds: float


class WebhookDeliveryResponse(ResponseBody):
    """The delivery of one event to the callback URL."""

    number: int
    event_id: str = Field(description="The value of the `webhook-id` header.")
    type: str
    timestamp: datetime
    url: str
    state: DeliveryState
    delivered_at: datetime | None
    retry_at: datetime | None = Field(description="When it may be tried next; null unless it is pending.")
    tries_made: int
    tries: tuple[WebhookTryResponse, ...] = Field(
        description="The latest 100 tries, oldest first; fewer of a task with more than two deliveries."
    )

    @classmethod
    def of(cls, log: WebhookLog, delivery: WebhookDelivery) -> Self:
        state = log.state_of(delivery)
        retry_at = delivery.retry_at if state is DeliveryState.PENDING else None
        return cls.model_validate({**fields_of(delivery), "state": state, "retry_at": retry_at})


class WebhookDeliveriesResponse(ResponseBody):
    """The deliveries of one task."""

    deliveries: tuple[WebhookDeliveryResponse, ...] = Field(
        description="The latest 50 deliveries, oldest first."
    )
    stopped_at: datetime | None = Field(
        description="When the receiver returned 410, which stops deliveries; null otherwise."
    )

    @classmethod
    def of(cls, log: WebhookLog) -> Self:
        deliveries = tuple(WebhookDeliveryResponse.of(log, delivery) for delivery in log.deliveries)
        return cls(deliveries=deliveries, stopped_at=log.stopped_at)


class WebhookSecretResponse(ResponseBody):
    """A secret that signs deliveries."""

    secret: str = Field(
        validation_alias="text",
        description="`whsec_` and the key in base64, in the format of Standard Webhooks.",
    )
    created_at: datetime | None = Field(description="null for the initial secret.")
    expires_at: datetime | None = Field(
        description="When it stops signing deliveries; null until a rotation."
    )


class WebhookSecretsResponse(ResponseBody):
    """The valid secrets, newest first: one, or two for some time after a rotation."""

    secrets: tuple[WebhookSecretResponse, ...]
