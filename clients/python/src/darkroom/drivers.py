"""Execution of flows with a blocking or an asynchronous httpx client."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, TypeAlias, TypeVar, cast

import anyio
import httpx
from httpx_sse import EventSource, ServerSentEvent

from darkroom.sansio import Flow, Hear, Listen, Need, Pause, Send, Tell, TellingFlow, is_event_stream

_Result = TypeVar("_Result")
_Told = TypeVar("_Told")
_Outcome: TypeAlias = httpx.Response | ServerSentEvent | httpx.RequestError | None


def play(http: httpx.Client, flow: Flow[_Result]) -> _Result:
    """Execute a flow that yields no values, and return its result."""
    with closing(_Hands(http)) as hands, closing(flow):
        try:
            need = next(flow)
            while True:
                need = _advanced(flow, hands.outcome(need))
        except StopIteration as end:
            return cast("_Result", end.value)


def play_telling(http: httpx.Client, flow: TellingFlow[_Told]) -> Generator[_Told, None, None]:
    """Execute a flow as far as the caller iterates."""
    with closing(_Hands(http)) as hands, closing(flow):
        try:
            need = next(flow)
            while True:
                if isinstance(need, Tell):
                    yield need.value
                    need = _advanced(flow, None)
                else:
                    need = _advanced(flow, hands.outcome(need))
        except StopIteration:
            return


async def play_async(http: httpx.AsyncClient, flow: Flow[_Result]) -> _Result:
    """Execute a flow like `play`, asynchronously."""
    async with aclosing(_AsyncHands(http)) as hands:
        with closing(flow):
            try:
                need = next(flow)
                while True:
                    need = _advanced(flow, await hands.outcome(need))
            except StopIteration as end:
                return cast("_Result", end.value)


async def play_telling_async(
    http: httpx.AsyncClient, flow: TellingFlow[_Told]
) -> AsyncGenerator[_Told, None]:
    """Execute a flow like `play_telling`, asynchronously."""
    async with aclosing(_AsyncHands(http)) as hands:
        with closing(flow):
            try:
                need = next(flow)
                while True:
                    if isinstance(need, Tell):
                        yield need.value
                        need = _advanced(flow, None)
                    else:
                        need = _advanced(flow, await hands.outcome(need))
            except StopIteration:
                return


def _advanced(flow: Any, outcome: _Outcome) -> Any:
    """Resume the flow and return its next need.

    Raises StopIteration at the end of the flow; a coroutine could not raise that.
    """
    return flow.throw(outcome) if isinstance(outcome, httpx.RequestError) else flow.send(outcome)


class _Hands:
    """Performs the I/O of one flow and owns its open event stream."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._open = ExitStack()
        self._events: Iterator[ServerSentEvent] = iter(())

    def outcome(self, need: Need) -> _Outcome:
        """Perform the I/O and return its result. A transport error is returned, not raised."""
        try:
            match need:
                case Send(request):
                    return self._http.send(request)
                case Listen(request):
                    return self._listen(request)
                case Hear():
                    return next(self._events, None)
                case Pause(seconds):
                    time.sleep(seconds)
        except httpx.RequestError as error:
            return error
        return None

    def close(self) -> None:
        """Close the event stream."""
        self._events = iter(())
        self._open.close()

    def _listen(self, request: httpx.Request) -> httpx.Response:
        self.close()
        response = self._http.send(request, stream=True)
        self._open.callback(response.close)
        if is_event_stream(response):
            self._events = EventSource(response).iter_sse()
        else:
            response.read()
        return response


class _AsyncHands:
    """Asynchronous counterpart of `_Hands`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._open = AsyncExitStack()
        self._events: AsyncIterator[ServerSentEvent] | None = None

    async def outcome(self, need: Need) -> _Outcome:
        try:
            match need:
                case Send(request):
                    return await self._http.send(request)
                case Listen(request):
                    return await self._listen(request)
                case Hear():
                    return None if self._events is None else await anext(self._events, None)
                case Pause(seconds):
                    await anyio.sleep(seconds)
        except httpx.RequestError as error:
            return error
        return None

    async def aclose(self) -> None:
        self._events = None
        await self._open.aclose()

    async def _listen(self, request: httpx.Request) -> httpx.Response:
        await self.aclose()
        response = await self._http.send(request, stream=True)
        self._open.push_async_callback(response.aclose)
        if is_event_stream(response):
            self._events = await self._open.enter_async_context(aclosing(EventSource(response).aiter_sse()))
        else:
            await response.aread()
        return response
