"""/internal: endpoints for the scheduler and for Pub/Sub pushes, not for users."""

import structlog
from flask import Blueprint, Response, request
from opentelemetry import trace

from common.observability.messaging import processing
from common.observability.metrics import DEAD_LETTERS_ARCHIVED, counter
from common.observability.tracing import link_to_span
from common.wire_formats.task_event import decode_task_event
from common.wire_formats.versions import UndecodableError
from frontend_api.autoscaling.package import Autoscaling
from frontend_api.dead_letters.dead_letter import DeadMessage
from frontend_api.dead_letters.package import DeadLetters
from frontend_api.history.package import History
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.concurrency_limiter import INTERNAL, ConcurrencyLimiter
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.request_log import log_task_id
from frontend_api.http.requests import checked_by, current, json_body
from frontend_api.http.responses import json_response
from frontend_api.identity.ports import Identity
from frontend_api.inputs.package import Inputs
from frontend_api.internal.schemas import (
    MAX_ENVELOPE_BYTES,
    PoolChangeResponse,
    PushEnvelope,
    RecordedMinuteResponse,
    RemovalResponse,
    RescueRequest,
    RescueResponse,
    RetriedResponse,
)
from frontend_api.rescue.rescue import RescueStaleTasks
from frontend_api.tasks.package import Tasks
from frontend_api.webhooks.package import Webhooks

blueprint = Blueprint("internal", __name__, url_prefix="/internal")
doc = ApiDoc(tag="internal")
_archived = counter(DEAD_LETTERS_ARCHIVED)
_log = structlog.get_logger(__name__)


@blueprint.before_request
def check_caller() -> None:
    """Admit only the service accounts that the deployment configures."""
    headers = dict(request.headers)
    checked_by(current(Identity).internal_callers.check, headers)
    current(ConcurrencyLimiter).identify(INTERNAL, headers)
    # Pushes do not wait for the jobs of the scheduler, some of which last for minutes.
    current(ConcurrencyLimiter).continue_as(f"{INTERNAL} {request.endpoint}")


@blueprint.post("/rescue")
@doc(
    "rescueStaleTasks",
    {200: ResponseDoc("The result of this run.", RescueResponse)},
    problems=("rescue_running",),
    body=RescueRequest,
    body_required=False,
)
def rescue() -> Response:
    """Recover tasks that no worker and no message will continue.

    Safe to call at any time. While a run is in progress, a second call is rejected at once.
    """
    rescued = current(RescueStaleTasks)(queue_lost_at=json_body(RescueRequest, optional=True).queue_lost_at)
    return json_response(RescueResponse.model_validate(rescued, from_attributes=True))


@blueprint.post("/remove-expired")
@doc("removeExpiredTasks", {200: ResponseDoc("The result of this run.", RemovalResponse)})
def remove_expired() -> Response:
    """Delete expired tasks with their objects, and expired inputs."""
    removed = current(Tasks).remove_expired()
    current(Inputs).remove_expired()
    current(Inputs).resumable.remove_abandoned()
    return json_response(RemovalResponse(removed=removed))


@blueprint.post("/scale-workers")
@doc(
    "scaleWorkers",
    {200: ResponseDoc("The number of instances before and after.", PoolChangeResponse)},
    problems=("not_found",),
)
def scale_workers() -> Response:
    """Set the number of Cloud Run's workers by the demand for them.

    Safe to call at any time. Without a demand the number stays as it is, and the response is 503.
    """
    scale_pool = current(Autoscaling).scale_pool
    if scale_pool is None:
        detail = "DARKROOM_CLOUD_RUN_WORKERS is not set: the API sets the size of no pool of workers"
        raise RequestRefusedError(Problem(code="not_found", detail=detail))
    return json_response(PoolChangeResponse.model_validate(scale_pool()))


@blueprint.post("/record-history")
@doc("recordHistory", {200: ResponseDoc("The minute that is stored.", RecordedMinuteResponse)})
def record_history() -> Response:
    """Store the figures of the last complete minute for the operator page.

    Safe to call at any time, also in parallel.
    """
    return json_response(RecordedMinuteResponse(minute=current(History).record_minute()))


@blueprint.post("/retry-webhooks")
@doc("retryWebhooks", {200: ResponseDoc("The result of this run.", RetriedResponse)})
def retry_webhooks() -> Response:
    """Try failed webhook deliveries again that are due.

    Safe to call at any time. A run lasts until all due deliveries are tried, at most a minute.
    """
    return json_response(RetriedResponse.model_validate(current(Webhooks).retry_deliveries()))


@blueprint.post("/events")
@doc(
    "deliverTaskEvent",
    {204: ResponseDoc("The event was delivered, will be retried, or needs no delivery.")},
    body=PushEnvelope,
)
def deliver_event() -> Response:
    """Deliver an event of a task to its callback URL.

    Idempotent. A failed try is no error here: errors would delay the pushes of all callers' events.
    """
    envelope = json_body(PushEnvelope, max_bytes=MAX_ENVELOPE_BYTES)
    message = envelope.message
    try:
        event = decode_task_event(message.data)
    except UndecodableError as error:
        _log.error("task_event_undecodable", message_id=message.messageId, reason=error.reason)
        return Response(status=204)  # acknowledged, because a retry would fail to decode it again
    log_task_id(event.task_id)
    # The events of one caller wait for each other, not those of all callers.
    current(ConcurrencyLimiter).continue_as(f"events of {event.user_id}")
    # Pub/Sub carries the trace in the message attributes; the push request's own trace is linked.
    with processing(
        envelope.subscription,
        message_id=message.messageId,
        attributes=message.attributes,
        delivery_attempt=envelope.deliveryAttempt,
        links=link_to_span(trace.get_current_span()),
    ):
        current(Webhooks).deliver_event(event)
    return Response(status=204)


@blueprint.post("/dead-letters")
@doc(
    "archiveDeadLetter",
    {204: ResponseDoc("The dead letter is archived. Pub/Sub does not retry.")},
    body=PushEnvelope,
)
def archive_dead_letter() -> Response:
    """Archive an undeliverable message, and fail its task.

    Idempotent. Any other response makes Pub/Sub retry.
    """
    message = json_body(PushEnvelope, max_bytes=MAX_ENVELOPE_BYTES).message
    archived = current(DeadLetters).archive(
        DeadMessage(
            message_id=message.messageId,
            published_at=message.publishTime,
            body=message.data,
            attributes=message.attributes,
        )
    )
    letter = archived.letter
    if letter.task_id is not None:
        log_task_id(letter.task_id)
    if archived.is_new:
        _archived.add(1, {"readable": letter.task_id is not None})
        _log.warning(
            "dead_letter_archived", dead_letter_id=letter.id, task_id=letter.task_id, reason=letter.reason
        )
    return Response(status=204)
