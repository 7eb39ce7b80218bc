"""The package as one record, built from its ports."""

from dataclasses import dataclass
from typing import Self

from common.ports import Clock, EventPublisher, TaskStore
from frontend_api.webhooks.deliver import BodyOf, DeliverEvent
from frontend_api.webhooks.delivery_limiter import DeliveryLimiter
from frontend_api.webhooks.ports import WebhookLogs, WebhookSender
from frontend_api.webhooks.replay import ReplayDelivery
from frontend_api.webhooks.signing_secrets import SigningSecrets
from frontend_api.webhooks.url_policy import CallbackUrlPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    url_policy: CallbackUrlPolicy
    logs: WebhookLogs
    secrets: SigningSecrets
    deliver_event: DeliverEvent
    replay_delivery: ReplayDelivery

    @classmethod
    def build(
        cls,
        *,
        store: TaskStore,
        events: EventPublisher,
        logs: WebhookLogs,
        sender: WebhookSender,
        secrets: SigningSecrets,
        limiter: DeliveryLimiter,
        url_policy: CallbackUrlPolicy,
        body_of: BodyOf,
        clock: Clock,
    ) -> Self:
        return cls(
            url_policy=url_policy,
            logs=logs,
            secrets=secrets,
            deliver_event=DeliverEvent(
                store=store,
                logs=logs,
                sender=sender,
                secrets=secrets,
                limiter=limiter,
                url_policy=url_policy,
                clock=clock,
                body_of=body_of,
            ),
            replay_delivery=ReplayDelivery(logs=logs, events=events),
        )
