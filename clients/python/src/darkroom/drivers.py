"""Execution of operations with a blocking or an asynchronous httpx client."""

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread
import httpx
from httpx_sse import EventSource, ServerSentEvent

from darkroom.received import EventText, body_limit, with_body
from darkroom.sansio import (
    Action,
    Call,
    Emit,
    NextEvent,
    OpenStream,
    Operation,
    Send,
    Sleep,
    StreamingOperation,
    is_event_stream,
    resume,
)

_Result = TypeVar("_Result")
_Value = TypeVar("_Value")
_Outcome: TypeAlias = Any
_TOO_LATE = "the response was not complete in time"


def run(http: httpx.Client, operation: Operation[_Result]) -> _Result:
    """Execute an operation and return its result."""
    with closing(_Driver(http)) as driver, closing(operation):
        outcome = None
        try:
            while True:
                outcome = driver.perform(resume(operation, outcome))
        except StopIteration as end:
            return cast("_Result", end.value)


def iterate(http: httpx.Client, operation: StreamingOperation[_Value]) -> Generator[_Value, None, None]:
    """Execute a streaming operation as far as the caller iterates."""
    with closing(_Driver(http)) as driver, closing(operation):
        outcome = None
        try:
            while True:
                action = resume(operation, outcome)
                if isinstance(action, Emit):
                    yield action.value
                outcome = None if isinstance(action, Emit) else driver.perform(action)
        except StopIteration:
            return


async def run_async(http: httpx.AsyncClient, operation: Operation[_Result]) -> _Result:
    """Execute an operation and return its result."""
    async with aclosing(_AsyncDriver(http)) as driver:
        with closing(operation):
            outcome = None
            try:
                while True:
                    outcome = await driver.perform(resume(operation, outcome))
            except StopIteration as end:
                return cast("_Result", end.value)


async def iterate_async(
    http: httpx.AsyncClient, operation: StreamingOperation[_Value]
) -> AsyncGenerator[_Value, None]:
    """Execute a streaming operation as far as the caller iterates."""
    async with aclosing(_AsyncDriver(http)) as driver:
        with closing(operation):
            outcome = None
            try:
                while True:
                    action = resume(operation, outcome)
                    if isinstance(action, Emit):
                        yield action.value
                    outcome = None if isinstance(action, Emit) else await driver.perform(action)
            except StopIteration:
                return


def _transport_error(error: UnicodeError | httpx.InvalidURL, request: httpx.Request) -> httpx.RequestError:
    """Convert an error that httpx does not: of a host name that DNS cannot have, or of a redirect.

    httpx builds the request of a redirect even if it does not follow it, and its address may be too long.
    """
    kind = httpx.ConnectError if isinstance(error, UnicodeError) else httpx.RemoteProtocolError
    return kind(str(error), request=request)


class _Driver:
    """Performs the actions of one operation and owns its open event stream."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._stream = ExitStack()
        self._events: Iterator[ServerSentEvent] = iter(())

    def perform(self, action: Action) -> _Outcome:
        """Perform an action and return its result. A transport error is returned, not raised."""
        try:
            match action:
                case Send(request, within_seconds):
                    return self._send(request, within_seconds)
                case OpenStream(request):
                    return self._open_stream(request)
                case NextEvent():
                    return next(self._events, None)
                case Sleep(seconds):
                    time.sleep(seconds)
                case Call(function):
                    return function()
        except httpx.RequestError as error:
            return error
        return None

    def close(self) -> None:
        self._events = iter(())
        self._stream.close()

    def _send(self, request: httpx.Request, within_seconds: float | None) -> httpx.Response:
        if within_seconds is None:
            return self._read(self._open(request))
        # httpx limits each read only: until the headers are complete, a server that drips can exceed the time.
        ends_at = time.monotonic() + within_seconds
        timeouts = request.extensions["timeout"]
        request.extensions["timeout"] = {name: min(each, within_seconds) for name, each in timeouts.items()}
        return self._read(self._open(request), ends_at)

    def _open(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request, stream=True)
        except (UnicodeError, httpx.InvalidURL) as error:
            raise _transport_error(error, request) from error

    def _open_stream(self, request: httpx.Request) -> httpx.Response:
        self.close()
        response = self._open(request)
        if not is_event_stream(response):
            return self._read(response)
        self._stream.callback(response.close)
        self._events = EventSource(cast("httpx.Response", EventText(response))).iter_sse()
        return response

    def _read(self, response: httpx.Response, ends_at: float = math.inf) -> httpx.Response:
        """Read the body up to its limit and close the response."""
        body, limit = bytearray(), body_limit(response)
        with closing(response):
            for chunk in response.iter_bytes() if limit else ():
                if time.monotonic() > ends_at:
                    raise httpx.ReadTimeout(_TOO_LATE, request=response.request)
                body += chunk
                if len(body) >= limit:
                    break
        return with_body(response, body[:limit])


class _AsyncDriver:
    """Asynchronous counterpart of `_Driver`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._stream = AsyncExitStack()
        self._events: AsyncIterator[ServerSentEvent] | None = None

    async def perform(self, action: Action) -> _Outcome:
        try:
            match action:
                case Send(request, within_seconds):
                    return await self._send(request, within_seconds)
                case OpenStream(request):
                    return await self._open_stream(request)
                case NextEvent():
                    return None if self._events is None else await anext(self._events, None)
                case Sleep(seconds):
                    await anyio.sleep(seconds)
                case Call(function):
                    return await anyio.to_thread.run_sync(function)
        except httpx.RequestError as error:
            return error
        return None

    async def aclose(self) -> None:
        self._events = None
        await self._stream.aclose()

    async def _send(self, request: httpx.Request, within_seconds: float | None) -> httpx.Response:
        try:
            with anyio.fail_after(within_seconds):
                return await self._read(await self._open(request))
        except TimeoutError as error:
            raise httpx.ReadTimeout(_TOO_LATE, request=request) from error

    async def _open(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._http.send(request, stream=True)
        except (UnicodeError, httpx.InvalidURL) as error:
            raise _transport_error(error, request) from error

    async def _open_stream(self, request: httpx.Request) -> httpx.Response:
        await self.aclose()
        response = await self._open(request)
        if not is_event_stream(response):
            return await self._read(response)
        self._stream.push_async_callback(response.aclose)
        source = EventSource(cast("httpx.Response", EventText(response)))
        self._events = await self._stream.enter_async_context(aclosing(source.aiter_sse()))
        return response

    async def _read(self, response: httpx.Response) -> httpx.Response:
        body, limit = bytearray(), body_limit(response)
        chunks = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
        async with aclosing(response), aclosing(chunks):
            while len(body) < limit and (chunk := await anext(chunks, None)) is not None:
                body += chunk
        return with_body(response, body[:limit])
