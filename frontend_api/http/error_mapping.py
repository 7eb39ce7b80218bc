"""Maps each error to a problem of `problems.py`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from common.domain.errors import (
    DependencyUnavailableError,
    DomainError,
    InvalidTransitionError,
    ParametersRejectedError,
    TaskNotFoundError,
    UnknownModelError,
)
from common.ports import InvalidPageTokenError
from frontend_api.api_keys.api_key import ApiKeyNotFoundError
from frontend_api.api_keys.create import BeyondOwnRightsError, TooManyApiKeysError
from frontend_api.dead_letters.dead_letter import DeadLetterNotFoundError, DeadLetterUndecodableError
from frontend_api.http.json_body import MAX_BODY_BYTES, MalformedBodyError, TooManyValuesError
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError, rejected
from frontend_api.http.validation_details import detail_of, pointer_of
from frontend_api.identity.ports import NotAnOperatorError, NotAuthenticatedError
from frontend_api.images.ports import ImageGoneError
from frontend_api.quotas.quotas import QueueFullError, QuotaExceededError
from frontend_api.rescue.rescue import RescueRunningError
from frontend_api.streams.subscriptions import TooManyWaitingError
from frontend_api.tasks.read import ImageNotFoundError
from frontend_api.tasks.submit import IdempotencyKeyReusedError, OutcomeUnknownError, TaskNotConfirmedError
from frontend_api.webhooks.deliver import WebhookNotDeliveredError
from frontend_api.webhooks.delivery_limiter import ReceiverBusyError
from frontend_api.webhooks.delivery_log import DeliveryNotFoundError
from frontend_api.webhooks.replay import DeliveryOutdatedError
from frontend_api.webhooks.signing_secrets import WebhooksNotOfferedError
from frontend_api.webhooks.url_policy import CallbackRefusedError

RETRY_AFTER_SECONDS = 2
"""How long a caller should wait for an unavailable dependency; most outages are reconnections."""
_PLACE_AFTER_SECONDS = 5
"""When to retry after all waiting slots were taken: among so many, some are always about to end."""


def problem_of(error: Exception) -> Problem | None:
    """Return the problem for an error; None for an unexpected error."""
    for kind in type(error).__mro__:
        if kind in _TOLD:
            return _TOLD[kind](error)
    return None


def body_problem(error: ValidationError) -> Problem:
    """Build the problem for the errors that pydantic found in a body."""
    errors = error.errors(include_url=False, include_input=False)
    return rejected(Complaint("pointer", pointer_of(e["loc"]), detail_of(e)) for e in errors)


def query_problem(error: ValidationError) -> Problem:
    """Build the problem for the errors that pydantic found in a query."""
    errors = error.errors(include_url=False, include_input=False)
    return rejected(Complaint("parameter", str(e["loc"][0])[:100], detail_of(e)) for e in errors)


def header_problem(name: str, detail: str) -> Problem:
    """Build the problem for an invalid header."""
    return rejected([Complaint("header", name, detail)])


def body_too_large(limit: int = MAX_BODY_BYTES) -> Problem:
    """Build the problem for a body over the limit, which is not read."""
    return Problem(
        code="body_too_large",
        detail=f"the body may have at most {limit} bytes",
        complaints=(Complaint("pointer", "", f"must have at most {limit} bytes"),),
    )


def _malformed(error: MalformedBodyError) -> Problem:
    complaint = Complaint("pointer", "", str(error))
    return Problem(code="malformed_body", detail=f"the body {error}", complaints=(complaint,))


def _parameters_rejected(error: ParametersRejectedError) -> Problem:
    complaints = tuple(Complaint("pointer", p.pointer, p.detail) for p in error.problems)
    return Problem(code=error.code, detail=str(error), complaints=complaints)


def _unknown_model(error: UnknownModelError) -> Problem:
    complaint = Complaint(
        "pointer", "/model", f"must be one of {', '.join(error.offered)}; got {error.name!r}"
    )
    return Problem(code=error.code, detail=str(error), complaints=(complaint,))


def _key_reused(error: IdempotencyKeyReusedError) -> Problem:
    complaint = Complaint("header", "Idempotency-Key", "must be new for a new request")
    return Problem(code=error.code, detail=str(error), complaints=(complaint,))


def _not_authenticated(error: NotAuthenticatedError) -> Problem:
    return Problem(code="unauthenticated", detail=str(error), headers={"WWW-Authenticate": "Bearer"})


def _quota_exceeded(error: QuotaExceededError) -> Problem:
    wait = str(error.retry_after_seconds)
    return Problem(code=error.code, detail=str(error), headers={"Retry-After": wait})


def _told_by_code(error: DomainError) -> Problem:
    return Problem(code=error.code, detail=str(error))


def _busy(error: ReceiverBusyError) -> Problem:
    return Problem(code=error.code, detail=str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _unavailable(error: DependencyUnavailableError) -> Problem:
    return Problem(
        code=error.code,
        detail=f"{error.dependency} cannot be reached",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _outcome_unknown(error: OutcomeUnknownError) -> Problem:
    detail = (
        f"{error.dependency} did not confirm in time whether the task is stored; read the task by `task_id`, "
        "or send the request again with the same idempotency key"
    )
    if isinstance(error, TaskNotConfirmedError):
        detail = (
            f"{error.dependency} cannot be reached; the task is stored and will be queued once it is back"
        )
    return replace(_unavailable(error), detail=detail, task_id=error.task_id)


def _no_place_left(error: TooManyWaitingError) -> Problem:
    return Problem(
        code="too_many_waiting",
        detail=f"{error}; ask again later, or without waiting",
        headers={"Retry-After": str(_PLACE_AFTER_SECONDS)},
    )


_TOLD: Mapping[type, Callable[[Any], Problem]] = {
    RequestRefusedError: lambda error: error.problem,
    MalformedBodyError: _malformed,
    TooManyValuesError: lambda error: rejected([Complaint("pointer", "", str(error))]),
    ParametersRejectedError: _parameters_rejected,
    UnknownModelError: _unknown_model,
    IdempotencyKeyReusedError: _key_reused,
    InvalidPageTokenError: lambda _: rejected(
        [Complaint("parameter", "page_token", "is not one that this list has given")]
    ),
    TaskNotFoundError: _told_by_code,
    InvalidTransitionError: _told_by_code,
    RescueRunningError: _told_by_code,
    ImageNotFoundError: lambda error: Problem(code="image_not_found", detail=str(error)),
    ImageGoneError: lambda _: Problem(code="image_not_found", detail="the image is no longer stored"),
    QuotaExceededError: _quota_exceeded,
    QueueFullError: _quota_exceeded,
    ApiKeyNotFoundError: _told_by_code,
    TooManyApiKeysError: _told_by_code,
    BeyondOwnRightsError: _told_by_code,
    DeadLetterNotFoundError: _told_by_code,
    DeadLetterUndecodableError: _told_by_code,
    CallbackRefusedError: lambda error: rejected([Complaint("pointer", "/callback_url", str(error))]),
    WebhooksNotOfferedError: _told_by_code,
    WebhookNotDeliveredError: _told_by_code,
    DeliveryNotFoundError: _told_by_code,
    DeliveryOutdatedError: _told_by_code,
    ReceiverBusyError: _busy,
    NotAnOperatorError: lambda error: Problem(code="forbidden", detail=str(error)),
    NotAuthenticatedError: _not_authenticated,
    TooManyWaitingError: _no_place_left,
    OutcomeUnknownError: _outcome_unknown,
    DependencyUnavailableError: _unavailable,
}
