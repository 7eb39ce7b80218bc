"""Runs an operation against a script of responses, without I/O or real time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import ServerSentEvent

from darkroom.calls import Calls
from darkroom.credentials import Address
from darkroom.retrying import RetryPolicy
from darkroom.sansio import Call, Emit, NextEvent, OpenStream, Send, Sleep

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
    """A response with a delay."""

    seconds: float
    response: httpx.Response


@dataclass(slots=True)
class Recording:
    """The actions of an operation, and its result."""

    emitted: list[Any] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    result: Any = None


@dataclass(slots=True)
class ScriptedApi:
    """An API that exists only in scripts. Backoff has no jitter here."""

    timeline: Timeline = field(default_factory=Timeline)
    recording: Recording = field(default_factory=Recording)

    @property
    def calls(self) -> Calls:
        return Calls(
            address=Address(URL, TOKEN),
            timeout_seconds=30.0,
            retries=RetryPolicy(chance=lambda: 1.0),
            now=self.timeline.now,
        )

    def run(self, operation: Any, *outcomes: Any) -> Recording:
        """Run the operation to its end; every outcome must be used.

        After an error, `recording` has the actions so far.
        """
        script = iter(outcomes)
        outcome = None
        try:
            while True:
                is_error = isinstance(outcome, httpx.RequestError)
                action = operation.throw(outcome) if is_error else operation.send(outcome)
                outcome = self._perform(action, script)
        except StopIteration as end:
            self.recording.result = end.value
        assert not list(script), "the operation ended before its script did"
        return self.recording

    def _perform(self, action: Any, script: Iterator[Any]) -> Any:
        match action:
            case Emit(value):
                self.recording.emitted.append(value)
                return None
            case Sleep(seconds):
                self.recording.pauses.append(seconds)
                self.timeline.seconds += seconds
                return None
            case Call(function):
                return function()
            case NextEvent():
                outcome = next(script)
                assert outcome is None or isinstance(outcome, ServerSentEvent | httpx.RequestError)
                return outcome
            case Send(request) | OpenStream(request):
                self.recording.requests.append(request)
                outcome = next(script)
                limit = action.within_seconds if isinstance(action, Send) else None
                if isinstance(outcome, Held) and limit is not None and outcome.seconds > limit:
                    self.timeline.seconds += limit
                    return httpx.ReadTimeout("too late")
                if isinstance(outcome, Held):
                    self.timeline.seconds += outcome.seconds
                    outcome = outcome.response
                if isinstance(outcome, httpx.Response):
                    outcome.request = request
                return outcome
            case _:
                raise AssertionError(f"unknown action: {action!r}")


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
    """Return a task that a worker is processing."""
    progress = {"phase": "denoising", "value": number / 20, "step": number, "steps": 20}
    return task_json("processing", progress=progress)


def reply(body: Any = None, status: int = 200, /, **headers: str) -> httpx.Response:
    """Return a response of the API; write header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = {} if body is None else {"json": body}
    return httpx.Response(status, headers=named, **content)


def problem(
    code: str, status: int, *, retryable: bool = False, task_id: str | None = None, **headers: str
) -> httpx.Response:
    """Return a problem response of the API."""
    body: Mapping[str, Any] = {
        "type": f"/problems/{code}", "title": "Refused", "status": status, "code": code, "detail": "not so",
        "errors": [{"pointer": "/steps", "detail": "must be between 1 and 100, got 5000"}],
        "retryable": retryable, "trace_id": "4bf9", "task_id": task_id,
    }  # fmt: skip
    return reply(body, status, Content_Type="application/problem+json", **headers)
