"""Plays a flow from a script, without I/O or real time, and records its requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import ServerSentEvent

from darkroom.calls import Calls
from darkroom.credentials import Address
from darkroom.retrying import RetryPolicy
from darkroom.sansio import Hear, Listen, Pause, Send, Tell

URL = "https://darkroom.example"
TOKEN = {"Authorization": "Bearer secret"}


class Timeline:
    """A clock that only a script advances."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Held:
    """An answer with a delay."""

    seconds: float
    answer: httpx.Response


@dataclass(slots=True)
class Played:
    """The recorded actions of a flow."""

    told: list[Any] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    result: Any = None


@dataclass(slots=True)
class Stage:
    """Calls of an API that exists only in scripts. Backoff has no jitter here."""

    timeline: Timeline = field(default_factory=Timeline)
    played: Played = field(default_factory=Played)

    @property
    def calls(self) -> Calls:
        return Calls(
            address=Address(URL, TOKEN),
            timeout_seconds=30.0,
            retries=RetryPolicy(chance=lambda: 1.0),
            now=self.timeline.now,
        )

    def play(self, flow: Any, *outcomes: Any) -> Played:
        """Play the flow to its end; every outcome must be used.

        After an error, `played` has the actions so far.
        """
        script = iter(outcomes)
        try:
            need = next(flow)
            while True:
                need = self._advance(flow, need, script)
        except StopIteration as end:
            self.played.result = end.value
        assert not list(script), "the flow ended before its script did"
        return self.played

    def _advance(self, flow: Any, need: Any, script: Any) -> Any:
        match need:
            case Tell(value):
                self.played.told.append(value)
                return flow.send(None)
            case Pause(seconds):
                self.played.pauses.append(seconds)
                self.timeline.seconds += seconds
                return flow.send(None)
            case Hear():
                outcome = next(script)
                assert outcome is None or isinstance(outcome, ServerSentEvent | httpx.RequestError)
            case Send(request) | Listen(request):
                self.played.requests.append(request)
                outcome = next(script)
                if isinstance(outcome, Held):
                    self.timeline.seconds += outcome.seconds
                    outcome = outcome.answer
                if isinstance(outcome, httpx.Response):
                    outcome.request = request
            case _:
                raise AssertionError(f"a need that nobody knows: {need!r}")
        return flow.throw(outcome) if isinstance(outcome, httpx.RequestError) else flow.send(outcome)


def task_json(status: str = "queued", **changes: Any) -> dict[str, Any]:
    """Return a task in the API's format, with the fields that a client requires."""
    return {
        "id": "task-1",
        "status": status,
        "model": "demo",
        "parameters": {
            "prompt": "a large red circle", "negative_prompt": None, "model": "demo", "steps": 20,
            "guidance_scale": 4.0, "seed": 12_345, "sampler": "ddim", "width": 256, "height": 256,
            "num_images": 1, "output_format": "png",
        },
        "created_at": "2026-01-01T12:00:00Z",
        "progress": {"phase": "waiting", "value": 0.0, "step": 0, "steps": 20},
        "urls": {"self": "/v1/tasks/task-1", "events": None, "cancel": "/v1/tasks/task-1/cancel"},
        **changes,
    }  # fmt: skip


def step(number: int) -> dict[str, Any]:
    """Return a task that is being drawn."""
    progress = {"phase": "denoising", "value": number / 20, "step": number, "steps": 20}
    return task_json("processing", progress=progress)


def answer(body: Any = None, status: int = 200, /, **headers: str) -> httpx.Response:
    """Return an answer of the API; write header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (
        httpx.Response(status, json=body, headers=named)
        if body is not None
        else httpx.Response(status, headers=named)
    )


def problem(code: str, status: int, *, retryable: bool = False, **headers: str) -> httpx.Response:
    """Return a problem response of the API."""
    body: Mapping[str, Any] = {
        "type": f"/problems/{code}", "title": "Refused", "status": status, "code": code, "detail": "not so",
        "errors": [{"pointer": "/steps", "detail": "must be between 1 and 100, got 5000"}],
        "retryable": retryable, "trace_id": "4bf9",
    }  # fmt: skip
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers={**named, "Content-Type": "application/problem+json"})
