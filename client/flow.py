"""Flows: what a client does, written once, for a blocking and for an asynchronous client.

A flow is a generator. It yields what it needs done (Send, Pause, Listen, Hear) and is sent the outcome; a transport's
error is thrown into it. What it wants to tell the caller underway it yields as Tell. `playing.py` does what is asked.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

Told = TypeVar("Told")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is the httpx.Response, read to its end."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen:
    """Open a stream of events in place of the one before; the outcome is the httpx.Response.

    It is read to its end, too, unless it is a stream of events: then Hear reads on.
    """

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for the next event; the outcome is a ServerSentEvent, or None when the stream has ended."""


@dataclass(frozen=True, slots=True)
class Tell(Generic[Told]):
    """Hand a value to the caller; there is no outcome."""

    value: Told


Need: TypeAlias = Send | Pause | Listen | Hear
Flow: TypeAlias = Generator[Need, Any, Result]
TellingFlow: TypeAlias = Generator[Need | Tell[Told], Any, None]


def is_event_stream(response: httpx.Response) -> bool:
    """Whether a response is a stream of events, which does not end by itself."""
    kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    return response.status_code == httpx.codes.OK and kind == "text/event-stream"
