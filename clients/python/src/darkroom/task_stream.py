"""Following a task to its terminal state, by server-sent events or by conditional reads.

Reads ask the API to hold the response until the task changes (`Prefer: wait`). If the API does not
hold them, the client pauses between reads. Each snapshot is yielded once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from darkroom.calls import Calls, path_of, read_as, refusal
from darkroom.errors import TaskDeletedError, UnexpectedAnswerError, WaitTimeoutError
from darkroom.models.task import Task, TaskRef, id_of
from darkroom.problem_errors import (
    ForbiddenError,
    ProblemError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
)
from darkroom.sansio import Flow, Hear, Listen, Pause, Tell, TellingFlow, is_event_stream

HOLD_SECONDS = 30
"""How long the API may hold a read. Proxies often close connections that are idle for a minute."""
SILENCE_SECONDS = 45.0
"""An event stream that receives nothing for this long is reopened."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PAUSE_GROWTH = 0.25, 2.0, 1.5
"""Pauses between reads that the API does not hold."""
TRY_AGAIN_SECONDS = 5.0
"""Delay before a held read or a stream is tried again after a refusal without Retry-After."""


def wait(calls: Calls, task: TaskRef, timeout_seconds: float | None) -> Flow[Task]:
    """Wait for the terminal state of a task. Raises WaitTimeoutError, TaskDeletedError."""
    reader = _Reader(calls, id_of(task), _Deadline(calls, timeout_seconds))
    while True:
        snapshot = yield from reader.next_snapshot()
        if snapshot.status.is_terminal:
            return snapshot


def stream(calls: Calls, task: TaskRef, timeout_seconds: float | None) -> TellingFlow[Task]:
    """Yield the current task, then each change, until a terminal state.

    Raises the errors of `wait`.

    With a timeout it uses reads only: a held read ends in time, an event stream may not.
    """
    reader = _Reader(calls, id_of(task), _Deadline(calls, timeout_seconds))
    listener = _Listener(calls, reader, is_offered=timeout_seconds is None)
    while not reader.has_ended:
        if listener.may_listen():
            yield from listener.events()
        if not reader.has_ended:
            yield Tell((yield from reader.next_snapshot()))


class _Deadline:
    def __init__(self, calls: Calls, timeout_seconds: float | None) -> None:
        self._calls = calls
        self.timeout_seconds = timeout_seconds
        self._ends_at = None if timeout_seconds is None else calls.now() + timeout_seconds

    def within(self, seconds: float) -> float:
        """Return `seconds`, or the remaining time if that is shorter."""
        return seconds if self._ends_at is None else min(seconds, self._ends_at - self._calls.now())


@dataclass(slots=True)
class _Reader:
    """Reads one task and keeps the last snapshot that was yielded."""

    calls: Calls
    task_id: str
    deadline: _Deadline
    latest: Task | None = None
    _etag: str | None = None
    _pause_seconds: float = FIRST_PAUSE_SECONDS
    _must_pause: bool = False
    _hold_not_before: float = float("-inf")

    @property
    def has_ended(self) -> bool:
        return self.latest is not None and self.latest.status.is_terminal

    def note(self, snapshot: Task) -> bool:
        """Store the snapshot and return whether it differs from the last one."""
        is_news = snapshot != self.latest
        self.latest = snapshot
        return is_news

    def gone(self) -> TaskDeletedError:
        return TaskDeletedError(self.task_id)

    def next_snapshot(self) -> Flow[Task]:
        """Return the task as soon as it differs from the last snapshot."""
        while True:
            if self._must_pause:
                yield from self._pace()
            answer = yield from self._answer()
            # The API answers the first read at once. Pause before any other read that was not held.
            self._must_pause = self.latest is not None and "Preference-Applied" not in answer.headers
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                self._etag = answer.headers.get("ETag")
                if self.note(snapshot := read_as(Task, answer)):
                    return snapshot
            self._raise_when_late()

    def _answer(self) -> Flow[httpx.Response]:
        try:
            seconds = int(self.deadline.within(HOLD_SECONDS))
            if self._etag is not None and seconds > 0 and self.calls.now() >= self._hold_not_before:
                try:
                    request = self._request({"Prefer": f"wait={seconds}"}, patience_seconds=seconds)
                    return (yield from self.calls.answered(request, raised_at_once=frozenset({429})))
                except TooManyRequestsError as full:
                    # The API holds as many reads as it can: read without holding until a slot may
                    # be free.
                    asked = full.retry_after_seconds or TRY_AGAIN_SECONDS
                    self._hold_not_before = self.calls.now() + asked
            return (yield from self.calls.answered(self._request()))
        except TaskNotFoundError as error:
            raise error if self.latest is None else self.gone() from error

    def _request(
        self, headers: Mapping[str, str] | None = None, *, patience_seconds: float = 0.0
    ) -> httpx.Request:
        known = {} if self._etag is None else {"If-None-Match": self._etag}
        path = path_of("tasks", self.task_id)
        return self.calls.request(
            "GET", path, headers={**known, **(headers or {})}, patience_seconds=patience_seconds
        )

    def _pace(self) -> Flow[None]:
        self._raise_when_late()
        yield Pause(self.deadline.within(self._pause_seconds))
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, self._pause_seconds * PAUSE_GROWTH)

    def _raise_when_late(self) -> None:
        if self.deadline.timeout_seconds is not None and self.deadline.within(1.0) <= 0:
            raise WaitTimeoutError(self.task_id, self.deadline.timeout_seconds, self.latest)


@dataclass(slots=True)
class _Listener:
    """Receives the events of one task, and decides whether to reconnect."""

    calls: Calls
    reader: _Reader
    is_offered: bool
    _last_event_id: str = ""
    _not_before: float = float("-inf")

    def may_listen(self) -> bool:
        return self.is_offered and self.calls.now() >= self._not_before

    def events(self) -> TellingFlow[Task]:
        """Yield the snapshots of one connection until it ends."""
        try:
            answer: httpx.Response = yield Listen(self._request())
            if not is_event_stream(answer):
                self._refused(answer)
                return
            while (event := (yield Hear())) is not None:
                snapshot = self._snapshot(event)
                if snapshot is not None and self.reader.note(snapshot):
                    yield Tell(snapshot)
                if self.reader.has_ended:
                    return
        except httpx.RequestError:
            return  # a read finds out whether the API is reachable

    def _request(self) -> httpx.Request:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        patience = max(0.0, SILENCE_SECONDS - self.calls.timeout_seconds)
        path = path_of("tasks", self.reader.task_id, "events")
        return self.calls.request("GET", path, headers=headers, patience_seconds=patience)

    def _refused(self, answer: httpx.Response) -> None:
        error = refusal(answer)
        if isinstance(error, TaskNotFoundError):
            raise error if self.reader.latest is None else self.reader.gone() from error
        if isinstance(error, UnauthenticatedError | ForbiddenError):
            raise error
        if answer.status_code in (429, 502, 503, 504):
            asked = error.retry_after_seconds if isinstance(error, ProblemError) else None
            self._not_before = self.calls.now() + (asked or TRY_AGAIN_SECONDS)
        else:
            self.is_offered = False  # no such route: use reads instead

    def _snapshot(self, event: ServerSentEvent) -> Task | None:
        if event.event == "deleted":
            raise self.reader.gone()
        if event.event != "task":
            return None  # event type of a newer API
        self._last_event_id = event.id
        try:
            return Task.model_validate_json(event.data)
        except ValidationError as error:
            raise UnexpectedAnswerError(self.calls.address.url, 200, "an event holds no task") from error
