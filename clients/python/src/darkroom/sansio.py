"""Operations without I/O, shared by the blocking and the asynchronous client.

An operation is a generator. It yields the I/O it needs (Send, Sleep, Call, OpenStream, NextEvent) and
receives the result; transport errors are thrown into it. A streaming operation also yields values
for the caller (Emit). `drivers.py` performs the I/O.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

Value = TypeVar("Value")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. The result is the httpx.Response with its body.

    A response that is not complete `within_seconds` counts as httpx.ReadTimeout. The blocking driver
    limits each read until the headers are complete, then all together.
    """

    request: httpx.Request
    within_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Sleep. There is no result."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function that may block, such as one that reads a file. The result is its result.

    Its errors leave the operation.
    """

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Open an event stream and close the previous one. The result is the httpx.Response.

    The body of a response that is not an event stream is read, too.
    """

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class NextEvent:
    """Wait for the next event. The result is a ServerSentEvent, or None at the end of the stream."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[Value]):
    """Yield a value to the caller. There is no result."""

    value: Value


Action: TypeAlias = Send | Sleep | Call | OpenStream | NextEvent
Operation: TypeAlias = Generator[Action, Any, Result]
StreamingOperation: TypeAlias = Generator[Action | Emit[Value], Any, None]


def resume(operation: Any, outcome: Any) -> Any:
    """Pass an outcome to the operation (first None) and return its next action.

    Raises StopIteration at the end of the operation. A coroutine cannot raise that, so this is a
    function.
    """
    return operation.throw(outcome) if isinstance(outcome, httpx.RequestError) else operation.send(outcome)


def is_event_stream(response: httpx.Response) -> bool:
    """Return whether the response is an event stream, whose body may never end."""
    content_type = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    return response.status_code == httpx.codes.OK and content_type == "text/event-stream"
