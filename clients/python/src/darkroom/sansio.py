"""Flows: client operations that both the blocking and the asynchronous client execute.

A flow is a generator. It yields the I/O it needs (Send, Pause, Listen, Hear) and receives the
result; transport errors are thrown into it. It yields values for the caller as Tell. `playing.py`
executes flows.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

Told = TypeVar("Told")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. The result is the httpx.Response, with its body read."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Sleep."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen:
    """Open an event stream and close the previous one; the result is the httpx.Response.

    The body is read, too, unless it is an event stream; Hear then reads the events.
    """

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for the next event. The result is a ServerSentEvent, or None at the end of the stream."""


@dataclass(frozen=True, slots=True)
class Tell(Generic[Told]):
    """Yield a value to the caller; there is no result."""

    value: Told


Need: TypeAlias = Send | Pause | Listen | Hear
Flow: TypeAlias = Generator[Need, Any, Result]
TellingFlow: TypeAlias = Generator[Need | Tell[Told], Any, None]


def is_event_stream(response: httpx.Response) -> bool:
    """Return whether a response is an event stream, which does not end by itself."""
    kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    return response.status_code == httpx.codes.OK and kind == "text/event-stream"
