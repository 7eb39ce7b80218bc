"""The package as one record."""

from dataclasses import dataclass

from frontend_api.webhooks.deliver import DeliverEvent
from frontend_api.webhooks.ports import WebhookLogs
from frontend_api.webhooks.replay import ReplayDelivery
from frontend_api.webhooks.retry import RetryDeliveries
from frontend_api.webhooks.signing_secrets import SigningSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    logs: WebhookLogs
    secrets: SigningSecrets
    deliver_event: DeliverEvent
    retry_deliveries: RetryDeliveries
    replay_delivery: ReplayDelivery
