"""/v1/webhook-secrets, and the deliveries of a task: the log, and replays."""

from flask import Blueprint, Response

from frontend_api.http.api_doc import Answer, Operation, described
from frontend_api.http.current import current
from frontend_api.http.requests import authenticate, caller_id, checked_task_id
from frontend_api.http.responses import json_answer
from frontend_api.identity.ports import Scope
from frontend_api.tasks.package import Tasks
from frontend_api.webhooks.package import Webhooks
from frontend_api.webhooks.responses import (
    WebhookDeliveriesResponse,
    WebhookDeliveryResponse,
    WebhookSecretsResponse,
)

blueprint = Blueprint("webhooks", __name__, url_prefix="/v1")
blueprint.before_request(authenticate)

_ONE_TASK = ("unauthenticated", "task_not_found", "dependency_unavailable")
_SECRETS = ("unauthenticated", "webhooks_not_offered", "dependency_unavailable")


@blueprint.get("/tasks/<task_id>/webhook-deliveries")
@described(
    Operation(
        id="listWebhookDeliveries",
        summary="What was sent to a task's callback URL",
        tag="webhooks",
        answers={200: Answer(meaning="Every delivery, try by try.", body=WebhookDeliveriesResponse)},
        problems=_ONE_TASK,
    )
)
def list_deliveries(task_id: str) -> Response:
    """Return the delivery log of one of the caller's tasks."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    return json_answer(WebhookDeliveriesResponse.of(current(Webhooks).logs.get(task.id)))


@blueprint.post("/tasks/<task_id>/webhook-deliveries/<int:number>/replay")
@described(
    Operation(
        id="replayWebhookDelivery",
        summary="Send an event once more",
        tag="webhooks",
        answers={202: Answer(meaning="It will be sent, under the same id.", body=WebhookDeliveryResponse)},
        problems=(*_ONE_TASK, "webhook_delivery_not_found", "webhook_outdated"),
    )
)
def replay_delivery(task_id: str, number: int) -> Response:
    """Send a delivery again, also one that succeeded or was stopped by a 410."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    log = current(Webhooks).replay_delivery(task, number)
    return json_answer(WebhookDeliveryResponse.of(log, log.numbered(number)), 202)


@blueprint.get("/webhook-secrets")
@described(
    Operation(
        id="readWebhookSecrets",
        summary="The secrets that your webhooks are signed with",
        tag="webhooks",
        answers={200: Answer(meaning="Those valid now, newest first.", body=WebhookSecretsResponse)},
        problems=_SECRETS,
        scope=Scope.ADMIN,
    )
)
def read_secrets() -> Response:
    """Return the caller's secrets. Every caller has one from the beginning."""
    return json_answer(WebhookSecretsResponse.of(current(Webhooks).secrets.of(caller_id())))


@blueprint.post("/webhook-secrets/rotate")
@described(
    Operation(
        id="rotateWebhookSecret",
        summary="Sign your webhooks with a new secret",
        tag="webhooks",
        answers={
            200: Answer(meaning="The new one, and the one before for a while.", body=WebhookSecretsResponse)
        },
        problems=_SECRETS,
        scope=Scope.ADMIN,
    )
)
def rotate_secret() -> Response:
    """Rotate the secret.

    Until the old one expires, deliveries carry both signatures. Not idempotent: two rotations in a
    row invalidate all earlier secrets.
    """
    return json_answer(WebhookSecretsResponse.of(current(Webhooks).secrets.rotate(caller_id())))
