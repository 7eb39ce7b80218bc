"""The parts of webhooks that the composition root provides, as one object."""

from dataclasses import dataclass

from frontend_api.webhooks.delivery_limiter import HostSlots
from frontend_api.webhooks.ports import WebhookLogs, WebhookSender
from frontend_api.webhooks.signing_secrets import CallerSecrets
from frontend_api.webhooks.url_policy import CallbackRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """The ports of webhooks and this deployment's rules for them."""

    rules: CallbackRules
    logs: WebhookLogs
    sender: WebhookSender
    secrets: CallerSecrets
    slots: HostSlots
