"""Request handling shared by all routes: packages, authentication, and validation of input."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, cast

from flask import Flask, current_app, g, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from frontend_api.http.api_doc import operation_of
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.error_mapping import body_problem, header_problem, query_problem
from frontend_api.http.json_body import MAX_BODY_BYTES, MAX_VALUES, parse_json_object
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError, rejected
from frontend_api.http.request_log import log_task_id
from frontend_api.http.schemas import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_DETAIL, MAX_IDEMPOTENCY_KEY, TASK_ID
from frontend_api.identity.ports import Identity, NotAllowedError, NotAuthenticatedError, Principal

_Body = TypeVar("_Body", bound=BaseModel)
_Checked = TypeVar("_Checked")
_Package = TypeVar("_Package")
_PACKAGES = "darkroom.packages"
REJECTED_FOR_CONTENT = frozenset((400, 413, 415, 422))
"""Statuses of submissions that cost CPU time and can never succeed."""


def provide(app: Flask, packages: Iterable[object]) -> None:
    """Make packages available to the routes of an app, one of each type."""
    app.extensions[_PACKAGES] = {type(package): package for package in packages}


def current(package: type[_Package]) -> _Package:
    """Return the current app's package of this type."""
    return cast("_Package", current_app.extensions[_PACKAGES][package])


def authenticate() -> None:
    """Authenticate the caller and check the permission, before each request of a blueprint."""
    authenticate_by(dict(request.headers))


def authenticate_by(headers: Mapping[str, str]) -> None:
    """Do the same by these headers, instead of the request's."""
    admit(checked_by(current(Identity).authenticator.principal, headers), headers)


def authenticate_operator() -> None:
    """Do the same for routes with data of the system or of all callers: operators only."""
    headers = dict(request.headers)
    admit(checked_by(current(Identity).operators.check, headers), headers)


def checked_by(check: Callable[[Mapping[str, str]], _Checked], headers: Mapping[str, str]) -> _Checked:
    """Return the result of an authenticator's check.

    Refused credentials no longer count for their former user, because others may have them.
    """
    try:
        return check(headers)
    except (NotAuthenticatedError, NotAllowedError):
        current(ConcurrencyLimiter).refuse(headers)
        raise


def admit(principal: Principal, headers: Mapping[str, str]) -> None:
    """Admit the caller with these headers within its request rate.

    An API key must have the scope that the route requires. A refused request does not wait for its
    caller's turn.
    """
    g.headers = headers
    g.principal, g.user_id, g.api_key_id = principal, principal.user_id, principal.api_key_id
    limiter, counted_for = current(ConcurrencyLimiter), f"user {principal.user_id}"
    limiter.identify(counted_for, headers)
    current(Identity).request_rate.count(principal.user_id)
    operation = operation_of(current_app.view_functions[request.endpoint or ""])
    needed = frozenset() if operation is None else operation.scopes_for(request.method)
    if lacking := sorted(needed - principal.scopes):
        detail = f"the API key lacks the scope {' and '.join(repr(scope.value) for scope in lacking)}"
        raise RequestRefusedError(Problem(code="forbidden", detail=detail))
    limiter.continue_as(counted_for)


def permission_check() -> Callable[[], bool]:
    """Return a check, for long-lived responses, of whether the caller's API key is still valid.

    The check may run on any thread, after the request has ended. Without an API key it always
    returns true: a person's token is valid for an hour at most.
    """
    if g.api_key_id is None:
        return lambda: True
    headers, authenticator = g.headers, current(Identity).authenticator

    def holds() -> bool:
        try:
            authenticator.principal(headers)
        except (NotAuthenticatedError, NotAllowedError):
            return False
        except DependencyUnavailableError:
            return True  # without an answer from the key store, the key counts as valid
        return True

    return holds


def caller() -> Principal:
    principal: Principal = g.principal
    return principal


def caller_id() -> str:
    return caller().user_id


def checked_task_id(task_id: str) -> str:
    """Return the task id if it is well-formed.

    Raises TaskNotFoundError for any other id, without a read of the store.
    """
    log_task_id(well_formed_task_id(task_id))
    return task_id


def well_formed_task_id(task_id: str) -> str:
    """Do the same without adding the id to the request's log line."""
    if not re.fullmatch(TASK_ID, task_id):
        raise TaskNotFoundError(task_id[:64])
    return task_id


def json_body(
    schema: type[_Body],
    *,
    optional: bool = False,
    max_bytes: int = MAX_BODY_BYTES,
    max_values: int = MAX_VALUES,
) -> _Body:
    """Return the request's body as a record.

    With `optional`, an empty body counts as an empty object.
    """
    raw = raw_body(max_bytes)
    if optional and not raw:
        return schema()
    check_media_type("application/json")
    try:
        return schema.model_validate(parse_json_object(raw, max_values=max_values))
    except ValidationError as exc:
        raise RequestRefusedError(body_problem(exc)) from exc


def raw_body(max_bytes: int) -> bytes:
    """Return the bytes of the body, all of which have arrived. Raises RequestEntityTooLarge."""
    request.max_content_length = max_bytes + 1  # see create_app
    raw = request.get_data(cache=False)
    if len(raw) > max_bytes:
        raise RequestEntityTooLarge
    return raw


def check_media_type(*accepted: str) -> None:
    """Check that the body has one of these types and is not compressed. Raises RequestRefusedError."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        complaint = Complaint("header", "Content-Encoding", f"must be absent (got {coding[:100]!r})")
        detail, headers = "the body must not be compressed", {"Accept-Encoding": "identity"}
    elif request.mimetype not in accepted:
        names = " or ".join(accepted)
        got = f"{request.mimetype[:100]!r}" if request.mimetype else "none"
        complaint = Complaint("header", "Content-Type", f"must be {names} (got {got})")
        detail, headers = f"the body must be {names}", {"Accept-Post": ", ".join(accepted)}
    else:
        return
    raise RequestRefusedError(
        Problem(code="unsupported_media_type", detail=detail, complaints=(complaint,), headers=headers)
    )


def query(schema: type[_Body]) -> _Body:
    doubled = [name for name, values in request.args.lists() if len(values) > 1]
    if doubled:
        complaints = (Complaint("parameter", name[:100], "must be given only once") for name in doubled)
        raise RequestRefusedError(rejected(complaints))
    try:
        return schema.model_validate(request.args.to_dict())
    except ValidationError as exc:
        raise RequestRefusedError(query_problem(exc)) from exc


def idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (len(key) <= MAX_IDEMPOTENCY_KEY and re.fullmatch(IDEMPOTENCY_KEY, key)):
        problem = header_problem("Idempotency-Key", IDEMPOTENCY_KEY_DETAIL)
        raise RequestRefusedError(problem)
    return key
