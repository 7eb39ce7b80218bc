"""Checks of everything between this program and its first image."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

import httpx
from httpx_sse import ServerSentEvent
from typing_extensions import Self

from darkroom.calls import Calls, error_of, json_object, path_of, read_as
from darkroom.errors import (
    ClientError,
    ForbiddenError,
    ProblemError,
    UnauthenticatedError,
    printable,
)
from darkroom.models.catalog import ModelList
from darkroom.models.record import Record
from darkroom.models.task import Task, TaskPage
from darkroom.proxies import proxy_for
from darkroom.retrying import parsed_date
from darkroom.sansio import Emit, NextEvent, OpenStream, Operation, Send, StreamingOperation, is_event_stream

_ALLOWED_SKEW_SECONDS = 10.0
"""Tokens are refused by a server whose clock differs by more."""
_REFUSED_SKEW_SECONDS = 300.0
"""`verify_webhook` refuses older webhooks."""

Outcome = Literal["ok", "warning", "failed", "skipped"]


class Check(Record):
    """The outcome of one check; `advice` says what to do about it."""

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""

    @classmethod
    def failed(cls, name: str, error: ClientError, advice: str) -> Self:
        return cls(name=name, outcome="failed", detail=str(error).splitlines()[0], advice=advice)


def diagnose(calls: Calls) -> StreamingOperation[Check]:
    """Yield a check of the proxy, server, clock, credentials, models and streams, in this order.

    If the server does not respond, the others are skipped.
    """
    yield Emit(_proxy(calls))
    try:
        response = yield from _send(calls, calls.request("GET", "/readyz"))
    except ClientError as error:
        yield Emit(Check.failed("server", error, _unreachable_advice(calls)))
        for name in ("clock", "credentials", "models", "streams"):
            yield Emit(Check(name=name, outcome="skipped", detail="The server does not respond."))
        return
    yield Emit(_server(calls, response))
    yield Emit(_clock(response, time.time()))
    newest: Task | None = None
    try:
        query = {"page_size": "1"}
        page = read_as(
            TaskPage, (yield from _send(calls, calls.request("GET", path_of("tasks"), query=query)))
        )
        newest = page.items[0] if page.items else None
        yield Emit(Check(name="credentials", outcome="ok", detail=_accepted(calls.address.credentials)))
    except ClientError as error:
        yield Emit(Check.failed("credentials", error, _credentials_advice(error)))
    yield Emit((yield from _models(calls)))
    yield Emit((yield from _streams(calls, newest)))


def _send(calls: Calls, request: httpx.Request) -> Operation[httpx.Response]:
    """Send a request once. Only /readyz may have another status than success."""
    try:
        response: httpx.Response = yield Send(request)
    except httpx.RequestError as failure:
        raise calls.unreachable(failure) from failure
    error = error_of(response)
    if error is not None and request.url.path != httpx.URL(f"{calls.address.url}/readyz").path:
        raise error
    return response


def _proxy(calls: Calls) -> Check:
    proxy = proxy_for(calls.address.url)
    host = httpx.URL(calls.address.url).host
    detail = f"Calls go directly to {host}." if proxy is None else f"Calls to {host} go through {proxy}."
    return Check(name="proxy", outcome="ok", detail=printable(detail))


def _unreachable_advice(calls: Calls) -> str:
    advice = "Start darkroom there, or set another address with --url or DARKROOM_URL."
    if proxy_for(calls.address.url) is None:
        return advice
    return f"{advice} If the proxy is the problem, add the host to NO_PROXY."


def _server(calls: Calls, response: httpx.Response) -> Check:
    url = calls.address.url
    dependencies = _dependencies(response)
    if dependencies is None:
        detail = f"{url} responds with status {response.status_code}, but not as darkroom does."
        advice = "Check the address: it is that of the API, with the path of a proxy if there is one."
        return Check(name="server", outcome="failed", detail=detail, advice=advice)
    unreachable = [name for name, is_reachable in dependencies.items() if not is_reachable]
    if unreachable:
        detail = f"{url} responds, but cannot reach {printable(', '.join(unreachable))}."
        advice = "Try again; if it persists, ask the operator."
        return Check(name="server", outcome="failed", detail=detail, advice=advice)
    names = printable(" and ".join(dependencies))
    return Check(name="server", outcome="ok", detail=f"{url} is ready, and reaches {names}.")


def _dependencies(response: httpx.Response) -> dict[str, bool] | None:
    """Return which dependencies the server reaches; None for another program's response."""
    body: Any = json_object(response)
    with suppress(KeyError, TypeError):
        return {str(each["name"]): bool(each["reachable"]) for each in body["dependencies"]}
    return None


def _clock(response: httpx.Response, now: float) -> Check:
    server = parsed_date(response.headers.get("Date", ""))
    if server is None:
        return Check(name="clock", outcome="skipped", detail="The server's response has no time.")
    skew = now - server.timestamp()
    side = "ahead of" if skew > 0 else "behind"
    if abs(skew) <= _ALLOWED_SKEW_SECONDS:
        return Check(name="clock", outcome="ok", detail="The clocks of this machine and the server agree.")
    return Check(
        name="clock",
        outcome="failed" if abs(skew) > _REFUSED_SKEW_SECONDS else "warning",
        detail=f"The clock of this machine is {abs(skew):.0f} s {side} the server's.",
        advice="Synchronize it with NTP: tokens and webhooks with another time are refused.",
    )


def _accepted(credentials: Mapping[str, str]) -> str:
    if not credentials:
        return "The server accepts calls without credentials."
    return f"The server accepts the {'API key' if 'X-API-Key' in credentials else 'token'}."


def _credentials_advice(error: ClientError) -> str:
    if isinstance(error, UnauthenticatedError):
        return "Set DARKROOM_API_KEY or DARKROOM_TOKEN to valid credentials, or use --api-key or --token."
    if isinstance(error, ForbiddenError):
        return "Use an API key with the scope read."
    if isinstance(error, ProblemError):
        return "Try again later."
    return "Check the address and the proxy."


def _models(calls: Calls) -> Operation[Check]:
    try:
        response = yield from _send(calls, calls.request("GET", path_of("models")))
        found = read_as(ModelList, response).models
    except ClientError as error:
        return Check.failed("models", error, "Solve the problem above first.")
    idle = [model.name for model in found if model.served is False]
    if idle:
        detail = f"No live worker serves {printable(', '.join(idle))}."
        advice = "Start a worker, or wait: tasks of these models stay queued."
        return Check(name="models", outcome="warning", detail=detail, advice=advice)
    names = printable(", ".join(model.name for model in found))
    return Check(name="models", outcome="ok", detail=f"Workers serve {names}.")


def _streams(calls: Calls, task: Task | None) -> Operation[Check]:
    if task is None:
        detail = "There is no task whose events could be read."
        advice = "Generate an image, then run this command again."
        return Check(name="streams", outcome="skipped", detail=detail, advice=advice)
    request = calls.request(
        "GET", path_of("tasks", task.id, "events"), headers={"Accept": "text/event-stream"}
    )
    try:
        began = calls.now()
        response: httpx.Response = yield OpenStream(request)
        if (error := error_of(response)) is not None:
            raise error
        event: ServerSentEvent | None = (yield NextEvent()) if is_event_stream(response) else None
    except httpx.RequestError as failure:
        return Check.failed("streams", calls.unreachable(failure), _BUFFERING)
    except ClientError as error:
        return Check.failed("streams", error, "Solve the problem above first; clients poll meanwhile.")
    problems = list(_changes(response, event))
    if problems:
        detail = f"A program between this machine and the server {' and '.join(problems)}."
        return Check(name="streams", outcome="failed", detail=detail, advice=_BUFFERING)
    milliseconds = (calls.now() - began) * 1_000
    return Check(name="streams", outcome="ok", detail=f"An event arrived after {milliseconds:.0f} ms.")


_BUFFERING = (
    "Turn off buffering, compression and caching for paths that end in /events "
    "(nginx: proxy_buffering off). Until then, clients poll."
)


def _changes(response: httpx.Response, event: ServerSentEvent | None) -> Iterator[str]:
    if not is_event_stream(response):
        yield f"returned {response.headers.get('Content-Type', 'no content type')} instead of events"
    elif event is None:
        yield "ended the stream without an event"
    if response.headers.get("Content-Encoding", "identity") != "identity":
        yield "compressed the stream"
