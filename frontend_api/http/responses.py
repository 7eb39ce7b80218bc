"""Responses: JSON from pydantic models, with the Cache-Control and ETag headers of each kind."""

from collections.abc import Mapping

from flask import Response, request
from pydantic import BaseModel

UNBUFFERED = {
    "Cache-Control": "no-store, no-transform",  # a proxy that compresses collects bytes first
    "X-Accel-Buffering": "no",  # otherwise nginx collects bytes until its buffer is full
}
"""Headers of responses whose parts must reach the caller at once."""


def json_response(body: BaseModel, status: int = 200, **headers: str) -> Response:
    """Return a JSON response that no cache may store."""
    return _answer(body.model_dump_json(by_alias=True), status, "private, no-store", headers)


def versioned(json: str, status: int = 200, *, etag: str, **headers: str) -> Response:
    """Return a JSON response whose ETag the caller may compare.

    No cache may store it: a browser would revalidate it by itself, and show the fields that the
    ETag does not cover as they were.
    """
    answer = _answer(json, status, "private, no-store", headers)
    answer.set_etag(etag)
    return answer


def conditional(answer: Response) -> Response:
    """Return 304 without a body when the caller's If-None-Match matches."""
    answer.make_conditional(request)
    return answer


def cached(answer: Response, *, seconds: int, immutable: bool = False) -> Response:
    """Let the caller's browser cache a response, for requests with the same credentials.

    All users of a browser share its cache. With other credentials, or none, it asks the API again.
    """
    answer.headers["Cache-Control"] = f"private, max-age={seconds}{', immutable' if immutable else ''}"
    answer.vary.update(("Authorization", "X-API-Key"))
    return answer


def own_address(path: str) -> str:
    """Return the address of one of the API's paths, below the path that a proxy adds."""
    return f"{request.root_path}{path}"


def _answer(json: str, status: int, caching: str, headers: Mapping[str, str]) -> Response:
    answer = Response(json, status=status, content_type="application/json")
    answer.headers["Cache-Control"] = caching
    for name, value in headers.items():
        answer.headers[name.replace("_", "-")] = value
    return answer
