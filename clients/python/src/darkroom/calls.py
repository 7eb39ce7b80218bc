"""HTTP calls to the API with retries; refusals are raised as exceptions."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from darkroom.credentials import Address
from darkroom.errors import ClientError, UnexpectedAnswerError, UnreachableError
from darkroom.json_values import json_value
from darkroom.models.record import Record
from darkroom.problem_errors import ProblemError, problem_error
from darkroom.proxies import proxy_for
from darkroom.retrying import RETRIED_STATUSES, RetryPolicy, retry_after_seconds
from darkroom.sansio import Flow, Pause, Send

_Answer = TypeVar("_Answer", bound=Record)
DEFAULT_TIMEOUT_SECONDS = 30.0
_NO_ERRORS = (httpx.codes.NOT_MODIFIED, httpx.codes.FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Calls to one API, with retries."""

    address: Address
    timeout_seconds: float
    """Of a single attempt: to connect, and between two received chunks."""
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    now: Callable[[], float] = time.monotonic
    """Monotonic clock, in seconds."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = 0.0,
    ) -> httpx.Request:
        """Build a request with the caller's credentials.

        `patience_seconds` is added to the read timeout.
        """
        return httpx.Request(
            method,
            f"{self.address.url}{path}",
            params=query or None,
            json=None if body is None else json_value(body),
            headers={**_USUAL_HEADERS, **self.address.credentials, **(headers or {})},
            extensions={"timeout": self._timeout(patience_seconds)},
        )

    def anonymous_request(self, url: str) -> httpx.Request:
        """Build a GET request to another host, without credentials."""
        return httpx.Request("GET", url, headers=_USUAL_HEADERS, extensions={"timeout": self._timeout(0.0)})

    def answered(
        self,
        request: httpx.Request,
        *,
        raised_at_once: frozenset[int] = frozenset(),
        is_repeatable: bool = True,
    ) -> Flow[httpx.Response]:
        """Send a request with retries and return the response. Raises ClientError.

        Statuses in `raised_at_once` are not retried. A request that is not `is_repeatable` is
        retried only if the API certainly did not execute it.
        """
        attempts, is_unknown = 0, False
        while True:
            attempts += 1
            error: ClientError | None
            try:
                response: httpx.Response = yield Send(request)
                error = refusal(response)
                if error is None:
                    return response
                is_unknown = error.outcome_is_unknown or (is_unknown and not _is_final(error))
                may_help = _may_help(response, error, is_repeatable) and (
                    response.status_code not in raised_at_once
                )
            except httpx.RequestError as failure:
                error = self.unreachable(failure)
                was_sent = not isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)
                may_help = is_repeatable or not was_sent
                is_unknown = is_unknown or was_sent
            asked = error.retry_after_seconds if isinstance(error, ProblemError) else None
            pause = self.retries.pause_seconds(attempts, asked) if may_help else None
            if pause is None:
                if isinstance(error, ProblemError):
                    error.attempts = attempts
                error.outcome_is_unknown = is_unknown
                raise error
            yield Pause(pause)

    def record(self, kind: type[_Answer], request: httpx.Request) -> Flow[_Answer]:
        """Send a request and return the response body as a record."""
        return read_as(kind, (yield from self.answered(request)))

    def unreachable(self, failure: httpx.RequestError) -> UnreachableError:
        """Convert a transport error to an UnreachableError."""
        reason = str(failure) or type(failure).__name__
        proxy = proxy_for(self.address.url)
        return UnreachableError(
            self.address.url, f"{reason} (through the proxy {proxy})" if proxy else reason
        )

    def _timeout(self, patience_seconds: float) -> dict[str, float | None]:
        usual = self.timeout_seconds
        return httpx.Timeout(usual, read=usual + patience_seconds).as_dict()


_USUAL_HEADERS: Mapping[str, str] = {"Accept-Encoding": "gzip", "User-Agent": "darkroom-client"}


def path_of(*parts: str) -> str:
    """Build a path below /v1. Each part is quoted as one segment."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def read_as(kind: type[_Answer], response: httpx.Response) -> _Answer:
    """Parse a response body as a record. Raises UnexpectedAnswerError."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswerError(
            _origin(response), response.status_code, f"{place}: {first['msg']}".lstrip(": ")
        ) from error


def refusal(response: httpx.Response) -> ClientError | None:
    """Return the error of an unsuccessful response; None for a successful one."""
    status = response.status_code
    if response.is_success or status in _NO_ERRORS:
        return None
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return UnexpectedAnswerError(_origin(response), status)
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return UnexpectedAnswerError(_origin(response), status)
    asked = retry_after_seconds(response.headers.get("Retry-After"))
    return problem_error(body, status=status, retry_after_seconds=asked)


def _may_help(response: httpx.Response, error: ClientError, is_repeatable: bool) -> bool:
    if not is_repeatable:
        return response.status_code == httpx.codes.TOO_MANY_REQUESTS
    says_so = isinstance(error, ProblemError) and error.retryable
    return says_so or response.status_code in RETRIED_STATUSES


def _is_final(error: ClientError) -> bool:
    """Return whether a refusal proves that no earlier attempt was executed:

    the API would have found the earlier attempt by its idempotency key.
    """
    is_refusal = isinstance(error, ProblemError) and error.status < httpx.codes.INTERNAL_SERVER_ERROR
    return is_refusal and not (isinstance(error, ProblemError) and error.retryable)


def _origin(response: httpx.Response) -> str:
    url = response.request.url
    return f"{url.scheme}://{url.netloc.decode()}"
