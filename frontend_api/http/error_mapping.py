"""Maps each error to a problem of `problems.py`.

A DomainError maps by its code, message and `retry_after_seconds`. The table has the other errors.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gunicorn.http.errors import NoMoreData, ParseException
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common.domain.errors import DomainError, ParametersRejectedError, UnknownModelError
from common.ports import InvalidPageTokenError
from frontend_api.http.json_body import MAX_BODY_BYTES, MalformedBodyError, TooManyValuesError
from frontend_api.http.problems import PROBLEMS, Complaint, Problem, RequestRefusedError, rejected
from frontend_api.identity.ports import NotAllowedError, NotAnOperatorError, NotAuthenticatedError

_MAX_SEGMENT_CHARACTERS = 100
_Context = Mapping[str, Any]
_DETAILS: Mapping[str, Callable[[_Context], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a known field",
    "int_type": lambda _: "must be an integer",
    "int_parsing": lambda _: "must be an integer",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "string_type": lambda _: "must be a string",
    "dict_type": lambda _: "must be an object",
    "enum": lambda context: f"must be one of {context['expected']}",
    "literal_error": lambda context: f"must be one of {context['expected']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "list_type": lambda _: "must be an array",
    "model_type": lambda _: "must be an object",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
    "value_error": lambda context: str(context["error"]),
}


def problem_of(error: Exception) -> Problem | None:
    """Return the problem for an error; None for an unexpected error."""
    for kind in type(error).__mro__:
        if kind in _SPECIAL:
            return _SPECIAL[kind](error)
    if not isinstance(error, DomainError) or error.code not in PROBLEMS:
        return None
    wait = error.retry_after_seconds
    return Problem(
        code=error.code,
        detail=str(error),
        headers={} if wait is None else {"Retry-After": str(wait)},
        task_id=getattr(error, "stored_task_id", None),
    )


def body_problem(error: ValidationError) -> Problem:
    """Build the problem for the errors that pydantic found in a body."""
    errors = error.errors(include_url=False, include_input=False)
    return rejected(Complaint("pointer", _pointer_of(e["loc"]), _detail_of(e)) for e in errors)


def query_problem(error: ValidationError) -> Problem:
    """Build the problem for the errors that pydantic found in a query."""
    errors = error.errors(include_url=False, include_input=False)
    return rejected(Complaint("parameter", str(e["loc"][0])[:100], _detail_of(e)) for e in errors)


def _pointer_of(location: tuple[int | str, ...]) -> str:
    """Return the RFC 6901 pointer. `[key]` marks a rejected name instead of its value."""
    segments = (str(part)[:_MAX_SEGMENT_CHARACTERS] for part in location if part != "[key]")
    return "".join(f"/{segment.replace('~', '~0').replace('/', '~1')}" for segment in segments)


def _detail_of(error: ErrorDetails) -> str:
    describe = _DETAILS.get(error["type"])
    return error["msg"] if describe is None else describe(error.get("ctx", {}))


def header_problem(name: str, detail: str) -> Problem:
    return rejected([Complaint("header", name, detail)])


def body_too_large(limit: int = MAX_BODY_BYTES) -> Problem:
    """Build the problem for a body over the limit, which is not read."""
    return Problem(
        code="body_too_large",
        detail=f"the body must have at most {limit} bytes",
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


_SPECIAL: Mapping[type, Callable[[Any], Problem]] = {
    # gunicorn's parser, while a route reads the body; its text may quote secrets
    ParseException: lambda _: Problem(code="bad_request", detail="the body is not valid HTTP"),
    NoMoreData: lambda _: Problem(code="bad_request", detail="the body is not complete"),
    RequestRefusedError: lambda error: error.problem,
    MalformedBodyError: _malformed,
    TooManyValuesError: lambda error: rejected([Complaint("pointer", "", str(error))]),
    ParametersRejectedError: _parameters_rejected,
    UnknownModelError: _unknown_model,
    InvalidPageTokenError: lambda _: rejected(
        [Complaint("parameter", "page_token", "must be the `next_page_token` of a previous response")]
    ),
    NotAnOperatorError: lambda error: Problem(code="forbidden", detail=str(error)),
    NotAllowedError: lambda error: Problem(code="user_not_allowed", detail=str(error)),
    NotAuthenticatedError: lambda error: Problem(
        code="unauthenticated", detail=str(error), headers={"WWW-Authenticate": "Bearer"}
    ),
}
