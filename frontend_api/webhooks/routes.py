"""/v1/webhook-secrets, and the deliveries of a task: the log, and replays."""

from flask import Blueprint, Response

from frontend_api.http.api_doc import ADMIN, CHANGE_AND_READ, ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate, caller_id, checked_task_id, current
from frontend_api.http.responses import json_response
from frontend_api.tasks.package import Tasks
from frontend_api.webhooks.package import Webhooks
from frontend_api.webhooks.responses import (
    WebhookDeliveriesResponse,
    WebhookDeliveryResponse,
    WebhookSecretsResponse,
)

blueprint = Blueprint("webhooks", __name__, url_prefix="/v1")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="webhooks")


@blueprint.get("/tasks/<task_id>/webhook-deliveries")
@doc(
    "listWebhookDeliveries",
    {200: ResponseDoc("Every delivery with its tries.", WebhookDeliveriesResponse)},
    problems=("task_not_found",),
)
def list_deliveries(task_id: str) -> Response:
    """List the deliveries to a task's callback URL."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    return json_response(WebhookDeliveriesResponse.of(current(Webhooks).logs.get(task.id)))


@blueprint.post("/tasks/<task_id>/webhook-deliveries/<int:number>/replay")
@doc(
    "replayWebhookDelivery",
    {202: ResponseDoc("The event will be sent again with the same id.", WebhookDeliveryResponse)},
    problems=("task_not_found", "webhook_delivery_not_found", "webhook_outdated"),
    scopes=CHANGE_AND_READ,
)
def replay_delivery(task_id: str, number: int) -> Response:
    """Send an event again.

    A pending delivery is tried again anyway.
    """
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    log = current(Webhooks).replay_delivery(task, number)
    return json_response(WebhookDeliveryResponse.of(log, log.numbered(number)), 202)


@blueprint.get("/webhook-secrets")
@doc(
    "readWebhookSecrets",
    {200: ResponseDoc("The valid secrets, newest first.", WebhookSecretsResponse)},
    problems=("webhooks_not_offered",),
    scopes=ADMIN,
)
def read_secrets() -> Response:
    """Read the secrets that sign your webhooks."""
    secrets = current(Webhooks).secrets.of(caller_id())
    return json_response(WebhookSecretsResponse.model_validate({"secrets": secrets}))


@blueprint.post("/webhook-secrets/rotate")
@doc(
    "rotateWebhookSecret",
    {200: ResponseDoc("The new secret, and the previous one until it expires.", WebhookSecretsResponse)},
    problems=("webhooks_not_offered",),
    scopes=ADMIN,
)
def rotate_secret() -> Response:
    """Rotate the secret that signs your webhooks.

    Until the old one expires, deliveries carry both signatures. Not idempotent: two rotations in a
    row invalidate all earlier secrets.
    """
    secrets = current(Webhooks).secrets.rotate(caller_id())
    return json_response(WebhookSecretsResponse.model_validate({"secrets": secrets}))
