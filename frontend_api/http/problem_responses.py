"""Converts every error that leaves a route into a response in the error shape of its path."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import IO
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from frontend_api.http.error_mapping import body_too_large, problem_of
from frontend_api.http.error_shape import ErrorShape, shape_at
from frontend_api.http.problems import Problem
from frontend_api.http.request_log import current_trace_id

_SHAPES = "darkroom.error_shapes"
_MAX_DISCARDED_BYTES = 32 * 1024 * 1024
"""Cloud Run's limit for a request."""
_MAX_PATH_CHARACTERS = 100
_CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
_log = structlog.get_logger(__name__)


def handle_errors(app: Flask, shapes: Mapping[str, ErrorShape]) -> None:
    """Respond to errors with problem documents; below the prefixes of `shapes` in their shape."""
    app.extensions[_SHAPES] = shapes
    app.register_error_handler(Exception, _answer)
    app.after_request(_describe_redirect)


def problem_response(problem: Problem) -> Response:
    shape = shape_at(request.path, current_app.extensions[_SHAPES])
    answer = Response(
        json.dumps(shape.body(problem, current_trace_id(), request.root_path)),
        status=shape.status(problem.code),
        content_type=shape.media_type,
        headers=dict(problem.headers),
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _answer(error: Exception) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        answer = problem_response(body_too_large((request.max_content_length or 1) - 1))
        # Closing a connection with unread bytes resets it: the caller would receive no response.
        unread = request.environ["wsgi.input"]
        answer.call_on_close(lambda: _discard(unread))
        return answer
    if isinstance(error, InternalServerError):  # Flask wraps an error after the view
        original = error.original_exception
        error = original if isinstance(original, Exception) else RuntimeError(error.name)
    problem = _http_problem(error) if isinstance(error, HTTPException) else problem_of(error)
    if problem is None:
        _log.exception("request_failed")
        problem = Problem(code="internal_error", detail="internal error; the request may be valid")
    return problem_response(problem)


def _describe_redirect(answer: Response) -> Response:
    """Replace the page of Flask's own redirects, which pass no error handler."""
    if answer.status_code != 308:
        return answer
    parts = urlsplit(answer.location)
    location = parts._replace(scheme="", netloc="").geturl()  # a proxy's callers know another host
    detail = f"the address is {location[:_MAX_PATH_CHARACTERS]}"
    return problem_response(Problem(code="moved", detail=detail, headers={"Location": location}))


def _http_problem(error: HTTPException) -> Problem:
    code = _CODES.get(error.code or 500, "bad_request")
    path = request.path[:_MAX_PATH_CHARACTERS]
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        detail = f"method {request.method[:20]} is not allowed for {path}; allowed: {allowed}"
        return Problem(code=code, detail=detail, headers={"Allow": allowed})
    if isinstance(error, NotFound):
        return Problem(code=code, detail=f"no resource at {path}")
    return Problem(code=code, detail=error.description or error.name)


def _discard(unread: IO[bytes]) -> None:
    discarded = 0
    with suppress(ParseException, NoMoreData):  # the request is refused for another reason
        while discarded < _MAX_DISCARDED_BYTES and (chunk := unread.read(65_536)):
            discarded += len(chunk)
