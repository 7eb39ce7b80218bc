"""HTTP calls to the API with retries; refusals are raised as exceptions."""

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from darkroom.credentials import Address, has_port
from darkroom.errors import (
    ClientError,
    ConfigurationError,
    IdempotencyKeyReusedError,
    NotFoundError,
    ProblemError,
    UnexpectedResponseError,
    UnreachableError,
    problem_error,
)
from darkroom.models.record import Page, Record
from darkroom.proxies import proxy_for
from darkroom.received import LIMIT, MAX_JSON_BYTES
from darkroom.retrying import RETRIED_STATUSES, RetryPolicy, retry_after_seconds
from darkroom.sansio import Emit, Operation, Send, Sleep, StreamingOperation
from darkroom.submission import finite, json_value, valid_unicode

_Record = TypeVar("_Record", bound=Record)
_Item = TypeVar("_Item", bound=Record)
DEFAULT_TIMEOUT_SECONDS = 30.0
_DEFAULT_HEADERS: Mapping[str, str] = {"Accept-Encoding": "gzip", "User-Agent": "darkroom-client"}
_JSON_OBJECT = TypeAdapter(dict[str, Any])
ONLY_OK = frozenset({httpx.codes.OK})
_SUCCESS = frozenset(range(200, 300))
_EXPECTED = "darkroom.expected"
"""The extension of a request with the statuses that are no errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Calls to one API, with retries."""

    address: Address
    timeout_seconds: float
    """Of a single attempt: to connect, and between two received chunks."""
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    now: Callable[[], float] = time.monotonic
    """Monotonic clock, in seconds."""

    def __post_init__(self) -> None:
        finite(self.timeout_seconds, "timeout_seconds")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        hold_seconds: float = 0.0,
        max_bytes: int = MAX_JSON_BYTES,
        expected: Set[int] = _SUCCESS,
    ) -> httpx.Request:
        """Build a request with the caller's credentials.

        The API may hold the response for `hold_seconds`, which are added to the read timeout. A
        successful response is cut off after `max_bytes`. A status that is not `expected` is an
        error. Raises ConfigurationError.
        """
        try:
            return httpx.Request(
                method,
                f"{self.address.url}{path}",
                params={name: valid_unicode(value) for name, value in (query or {}).items()} or None,
                json=None if body is None else json_value(body),
                content=content,
                headers={**_DEFAULT_HEADERS, **self.address.credentials, **(headers or {})},
                extensions={
                    "timeout": self._timeout(hold_seconds),
                    LIMIT: max_bytes,
                    _EXPECTED: expected,
                },
            )
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"an id or filter cannot be part of an address: {error}") from error

    def anonymous_request(self, url: str, *, max_bytes: int) -> httpx.Request:
        """Build a GET request to another host, without credentials."""
        extensions = {"timeout": self._timeout(), LIMIT: max_bytes, _EXPECTED: ONLY_OK}
        return httpx.Request("GET", url, headers=_DEFAULT_HEADERS, extensions=extensions)

    def session_request(self, url: str, part: bytes, *, content_range: str) -> httpx.Request:
        """Build a PUT request to a resumable upload's URL, without credentials."""
        headers = {**_DEFAULT_HEADERS, "Content-Range": content_range}
        return httpx.Request(
            "PUT", url, content=part, headers=headers, extensions={"timeout": self._timeout()}
        )

    def send(
        self,
        request: httpx.Request,
        *,
        not_retried: frozenset[int] = frozenset(),
        is_repeatable: bool = True,
    ) -> Operation[httpx.Response]:
        """Send a request with retries and return the response. Raises ClientError.

        Responses with a status in `not_retried` are not retried. A request that is not
        `is_repeatable` is retried only if the API certainly did not execute it.
        """
        response, _ = yield from self.send_tracked(
            request, not_retried=not_retried, is_repeatable=is_repeatable
        )
        return response

    def send_tracked(
        self,
        request: httpx.Request,
        *,
        not_retried: frozenset[int] = frozenset(),
        is_repeatable: bool = True,
        may_fail_midway: bool = False,
    ) -> Operation[tuple[httpx.Response, bool]]:
        """Send like `send`; also return whether the API may have executed an earlier attempt.

        It may, after a server error, have executed a request that `may_fail_midway`. Of others, it
        states it in the error.
        """
        attempts, is_unknown = 0, False
        while True:
            attempts += 1
            error: ClientError | None
            try:
                response: httpx.Response = yield Send(request)
                error = error_of(response)
                if error is None:
                    return response, is_unknown
                if may_fail_midway and response.is_server_error:
                    error.outcome_is_unknown = True
                is_retried = response.status_code not in not_retried and _is_retried(
                    response, error, is_repeatable=is_repeatable
                )
            except httpx.RequestError as failure:
                error = self.unreachable(failure)
                was_sent = not isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)
                error.outcome_is_unknown = was_sent
                is_retried = is_repeatable or not was_sent
            keep_unknown(error, is_unknown)
            is_unknown = error.outcome_is_unknown
            retry_after = error.retry_after_seconds if isinstance(error, ProblemError) else None
            pause = self.retries.pause_seconds(attempts, retry_after) if is_retried else None
            if pause is None:
                if isinstance(error, ProblemError):
                    error.attempts = attempts
                raise error
            yield Sleep(pause)

    def fetch(self, kind: type[_Record], request: httpx.Request) -> Operation[_Record]:
        """Send a request and return the response body as a record."""
        return read_as(kind, (yield from self.send(request)))

    def fetch_all(
        self, kind: type[Page[_Item]], path: str, query: Mapping[str, str]
    ) -> StreamingOperation[_Item]:
        """Yield the items of all pages. Pages are fetched lazily."""
        page_query = dict(query)
        while True:
            page = yield from self.fetch(kind, self.request("GET", path, query=page_query))
            for item in page.items:
                yield Emit(item)
            token = self.next_page_token(page.next_page_token, page_query.get("page_token"), page.items)
            if token is None:
                return
            page_query["page_token"] = token

    def next_page_token(self, token: str | None, sent: str | None, items: Sequence[object]) -> str | None:
        """Return the token of the next page; None after the last page.

        Raises UnexpectedResponseError for a page without progress, after which the pages may not end.
        """
        if token is not None and (not items or token == sent):
            raise UnexpectedResponseError(self.address.url, httpx.codes.OK, "a page without progress")
        return token

    def delete(self, path: str) -> Operation[None]:
        """Delete a resource. Raises NotFoundError, except when an earlier attempt may have deleted it."""
        request = self.request("DELETE", path, expected={httpx.codes.NO_CONTENT})
        try:
            yield from self.send_tracked(request, may_fail_midway=True)
        except NotFoundError as error:
            if not error.outcome_is_unknown or error.code == "not_found":  # of an unknown address
                raise

    def unreachable(self, failure: httpx.RequestError) -> UnreachableError:
        """Convert a transport error to an UnreachableError."""
        reason = str(failure) or type(failure).__name__
        proxy = proxy_for(self.address.url)
        return UnreachableError(
            self.address.url, f"{reason} (through the proxy {proxy})" if proxy else reason
        )

    def link(self, stated: str | None, status: int) -> str:
        """Return the absolute address that a response with this status states.

        Raises UnexpectedResponseError.
        """
        reason = "it has no valid address"
        if stated is not None:
            try:
                url = httpx.URL(self.address.url).join(stated)
                if has_port(url):
                    return str(url)
            except (httpx.InvalidURL, ValueError) as error:
                reason = f"{reason}: {error}"
        raise UnexpectedResponseError(self.address.url, status, reason)

    def _timeout(self, hold_seconds: float = 0.0) -> dict[str, float | None]:
        return httpx.Timeout(self.timeout_seconds, read=self.timeout_seconds + hold_seconds).as_dict()


def path_of(*parts: str) -> str:
    """Build a path below /v1. Each part is quoted as one segment. Raises ConfigurationError."""
    return "/v1/" + "/".join(map(_segment, parts))


def _segment(part: Any) -> str:
    if not isinstance(part, str):
        raise ConfigurationError(f"an id or name must be text (got {type(part).__name__})")
    if part in ("", ".", ".."):
        raise ConfigurationError(f"{part!r} is not an id or name")
    return quote(valid_unicode(part), safe="")


def date_of(day: date) -> str:
    """Return a day in ISO 8601. Raises ConfigurationError."""
    if not isinstance(day, date):
        raise ConfigurationError(f"a day must be a datetime.date (got {type(day).__name__})")
    return day.isoformat()


def timestamp_of(moment: datetime) -> str:
    """Return a time in ISO 8601; one without an offset is local time. Raises ConfigurationError."""
    if not isinstance(moment, datetime):
        raise ConfigurationError(f"a time must be a datetime.datetime (got {type(moment).__name__})")
    return moment.astimezone().isoformat()


def read_as(kind: type[_Record], response: httpx.Response) -> _Record:
    """Parse a response body as a record. Raises UnexpectedResponseError."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        raise UnexpectedResponseError(
            _origin(response), response.status_code, f"{location}: {first['msg']}".lstrip(": ")
        ) from error


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """Parse a response body; None if it is no JSON object, or one that is nested too deeply."""
    try:
        return _JSON_OBJECT.validate_json(response.content)
    except ValidationError:
        return None


def header_text(value: str | None) -> str | None:
    """Return an ETag or event id to send back in a header; None if that is impossible."""
    return value if value and value.isascii() and value.isprintable() else None


def error_of(response: httpx.Response) -> ClientError | None:
    """Return the error of a response; None if its status is one that the request expects."""
    status = response.status_code
    if status in response.request.extensions.get(_EXPECTED, _SUCCESS):
        return None
    is_problem = response.headers.get("Content-Type", "").startswith("application/problem+json")
    body = json_object(response) if is_problem and response.is_error else None
    if body is None:
        return UnexpectedResponseError(_origin(response), status)
    retry_after = retry_after_seconds(response.headers.get("Retry-After"))
    return problem_error(body, status=status, retry_after_seconds=retry_after)


def keep_unknown(error: ClientError, is_unknown: bool) -> None:
    """Mark an error if the outcome of an earlier attempt is unknown, unless the error disproves it.

    The API checks credentials and limits before it looks up the idempotency key, so their refusals
    prove nothing. It refuses the content of a request only if the key created no task.
    """
    is_content_refused = (
        isinstance(error, ProblemError)
        and error.status == httpx.codes.UNPROCESSABLE_ENTITY
        and not isinstance(error, IdempotencyKeyReusedError)  # perhaps by the earlier attempt
    )
    error.outcome_is_unknown = error.outcome_is_unknown or (is_unknown and not is_content_refused)


def _is_retried(response: httpx.Response, error: ClientError, *, is_repeatable: bool) -> bool:
    if not is_repeatable:
        return response.status_code == httpx.codes.TOO_MANY_REQUESTS
    is_retryable = isinstance(error, ProblemError) and error.retryable
    return is_retryable or response.status_code in RETRIED_STATUSES


def _origin(response: httpx.Response) -> str:
    url = response.request.url
    return f"{url.scheme}://{url.netloc.decode()}"
