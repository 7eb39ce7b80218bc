"""The parts of webhooks that the composition root provides, as one object."""

from dataclasses import dataclass

from frontend_api.webhooks.delivery_limiter import DeliveryLimiter
from frontend_api.webhooks.ports import WebhookLogs, WebhookSender
from frontend_api.webhooks.signing_secrets import SigningSecrets
from frontend_api.webhooks.url_policy import CallbackUrlPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """The ports of webhooks and this deployment's rules for them."""

    rules: CallbackUrlPolicy
    logs: WebhookLogs
    sender: WebhookSender
    secrets: SigningSecrets
    slots: DeliveryLimiter
