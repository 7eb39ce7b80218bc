"""Waiting for a task and streaming its changes, by server-sent events or by conditional reads.

Reads ask the API to hold the response until the task changes (`Prefer: wait`). If the API does not
hold them, the client pauses between reads. Each snapshot is yielded once.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from darkroom.calls import ONLY_OK, Calls, error_of, header_text, path_of, read_as
from darkroom.errors import (
    ForbiddenError,
    ProblemError,
    TaskDeletedError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from darkroom.models.task import Task, TaskRef, id_of
from darkroom.retrying import RETRIED_STATUSES
from darkroom.sansio import (
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
from darkroom.submission import finite

HOLD_SECONDS = 30
"""How long the API may hold a read. Proxies often close connections that are idle for a minute."""
IDLE_TIMEOUT_SECONDS = 45.0
"""An event stream that receives nothing for this long is reopened."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PAUSE_GROWTH = 0.25, 2.0, 1.5
"""Pauses between reads that the API does not hold."""
FIRST_READ_SECONDS = 1.0
"""The first read may take this long, however short the timeout is."""
DEFAULT_RETRY_AFTER_SECONDS = 5.0
"""Delay before a held read or a stream is tried again after a refusal without Retry-After."""


def wait(calls: Calls, task: TaskRef, timeout_seconds: float | None) -> Operation[Task]:
    """Wait for the terminal state of a task. Raises WaitTimeoutError, TaskDeletedError."""
    reader = _Reader(calls, id_of(task), _Deadline(calls, timeout_seconds))
    while True:
        snapshot = yield from reader.next_snapshot()
        if snapshot.status.is_terminal:
            return snapshot


def stream(calls: Calls, task: TaskRef, timeout_seconds: float | None) -> StreamingOperation[Task]:
    """Yield the current task, then each change, until a terminal state.

    Raises the errors of `wait`. With a timeout, it only reads: a held read ends in time, an event
    stream may not.
    """
    reader = _Reader(calls, id_of(task), _Deadline(calls, timeout_seconds))
    listener = _Listener(calls, reader, is_offered=timeout_seconds is None)
    while not reader.is_finished:
        if listener.is_allowed:
            yield from listener.events()
        if not reader.is_finished:
            yield Emit((yield from reader.next_snapshot()))


class _Deadline:
    def __init__(self, calls: Calls, timeout_seconds: float | None) -> None:
        self._calls = calls
        self.timeout_seconds = timeout_seconds
        self._ends_at = (
            None if timeout_seconds is None else calls.now() + finite(timeout_seconds, "timeout_seconds")
        )

    @property
    def remaining_seconds(self) -> float | None:
        return None if self._ends_at is None else self._ends_at - self._calls.now()

    def within(self, seconds: float) -> float:
        """Return `seconds`, or the remaining time if that is shorter."""
        remaining = self.remaining_seconds
        return seconds if remaining is None else min(seconds, remaining)


@dataclass(slots=True)
class _Reader:
    """Reads one task and stores the last snapshot that was yielded."""

    calls: Calls
    task_id: str
    deadline: _Deadline
    latest: Task | None = None
    _etag: str | None = None
    _pause_seconds: float = FIRST_PAUSE_SECONDS
    _must_pause: bool = False
    _hold_not_before: float = float("-inf")

    @property
    def is_finished(self) -> bool:
        return self.latest is not None and self.latest.status.is_terminal

    def store(self, snapshot: Task) -> bool:
        """Store the snapshot and return whether it differs from the last one."""
        is_changed = snapshot != self.latest
        self.latest = snapshot
        return is_changed

    def next_snapshot(self) -> Operation[Task]:
        """Return the task as soon as it differs from the last snapshot."""
        while True:
            if self._must_pause:
                yield from self._pause()
            began = self.calls.now()
            response = yield from self._read()
            # The API does not hold the first read. Pause before any other read that was not held.
            self._must_pause = self.latest is not None and "Preference-Applied" not in response.headers
            if response.status_code != httpx.codes.NOT_MODIFIED:
                self._etag = header_text(response.headers.get("ETag"))
                if self.store(snapshot := read_as(Task, response)):
                    return snapshot
            if self.calls.now() - began < FIRST_PAUSE_SECONDS:
                self._must_pause = True  # it brought nothing, and was not held whatever its headers say
            self._raise_if_expired()

    def _read(self) -> Operation[httpx.Response]:
        try:
            seconds = int(self.deadline.within(HOLD_SECONDS))
            if self._etag is not None and seconds > 0 and self.calls.now() >= self._hold_not_before:
                try:
                    request = self._request({"Prefer": f"wait={seconds}"}, hold_seconds=seconds)
                    return (yield from self._in_time(self.calls.send(request, not_retried=frozenset({429}))))
                except TooManyRequestsError as error:
                    # The API holds no more reads now: read without holding for a while.
                    retry_after = error.retry_after_seconds or DEFAULT_RETRY_AFTER_SECONDS
                    self._hold_not_before = self.calls.now() + retry_after
            return (yield from self._in_time(self.calls.send(self._request())))
        except TaskNotFoundError as error:
            if self.latest is None:
                raise
            raise TaskDeletedError(self.task_id) from error

    def _in_time(self, operation: Operation[httpx.Response]) -> Operation[httpx.Response]:
        """Perform an operation whose attempts and pauses end with the remaining time.

        Raises WaitTimeoutError instead of the error of an attempt that ends then.
        """
        with closing(operation):
            outcome: Any = None
            try:
                while True:
                    action = resume(operation, outcome)
                    outcome = None
                    if isinstance(action, Sleep):
                        yield Sleep(max(0.0, self.deadline.within(action.seconds)))
                        self._raise_if_expired()
                        continue
                    try:
                        outcome = yield Send(action.request, self._attempt_seconds())
                    except httpx.RequestError as failure:
                        self._raise_if_expired()
                        outcome = failure
            except StopIteration as end:
                return cast("httpx.Response", end.value)

    def _attempt_seconds(self) -> float | None:
        """Return the remaining time. The first read has a second, so that it can also show the status."""
        remaining = self.deadline.remaining_seconds
        if remaining is not None and self.latest is None:
            return max(remaining, FIRST_READ_SECONDS)
        self._raise_if_expired()
        return remaining

    def _request(
        self, headers: Mapping[str, str] | None = None, *, hold_seconds: float = 0.0
    ) -> httpx.Request:
        condition = {} if self._etag is None else {"If-None-Match": self._etag}
        return self.calls.request(
            "GET",
            path_of("tasks", self.task_id),
            headers={**condition, **(headers or {})},
            hold_seconds=hold_seconds,
            expected=ONLY_OK | {httpx.codes.NOT_MODIFIED} if condition else ONLY_OK,
        )

    def _pause(self) -> Operation[None]:
        self._raise_if_expired()
        yield Sleep(self.deadline.within(self._pause_seconds))
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, self._pause_seconds * PAUSE_GROWTH)

    def _raise_if_expired(self) -> None:
        if self.deadline.timeout_seconds is not None and self.deadline.within(1.0) <= 0:
            raise WaitTimeoutError(self.task_id, self.deadline.timeout_seconds, self.latest)


@dataclass(slots=True)
class _Listener:
    """Receives the events of one task and decides whether to reconnect."""

    calls: Calls
    reader: _Reader
    is_offered: bool
    _last_event_id: str | None = None
    _not_before: float = float("-inf")

    @property
    def is_allowed(self) -> bool:
        """Whether to open a stream now."""
        return self.is_offered and self.calls.now() >= self._not_before

    def events(self) -> StreamingOperation[Task]:
        """Yield the snapshots of one connection until it ends."""
        try:
            response: httpx.Response = yield OpenStream(self._request())
            if not is_event_stream(response):
                self._handle_refusal(response)
                return
            while (event := (yield NextEvent())) is not None:
                snapshot = self._snapshot(event)
                if snapshot is not None and self.reader.store(snapshot):
                    yield Emit(snapshot)
                if self.reader.is_finished:
                    return
        except httpx.RequestError:
            return  # the following read reports whether the API is reachable

    def _request(self) -> httpx.Request:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        hold_seconds = max(0.0, IDLE_TIMEOUT_SECONDS - self.calls.timeout_seconds)
        path = path_of("tasks", self.reader.task_id, "events")
        return self.calls.request("GET", path, headers=headers, hold_seconds=hold_seconds)

    def _handle_refusal(self, response: httpx.Response) -> None:
        error = error_of(response)
        if isinstance(error, TaskNotFoundError) and self.reader.latest is not None:
            raise TaskDeletedError(self.reader.task_id) from error
        if isinstance(error, TaskNotFoundError | UnauthenticatedError | ForbiddenError):
            raise error
        if response.status_code in RETRIED_STATUSES:
            retry_after = error.retry_after_seconds if isinstance(error, ProblemError) else None
            self._not_before = self.calls.now() + (retry_after or DEFAULT_RETRY_AFTER_SECONDS)
        else:
            self.is_offered = False  # the API has no event streams: use reads

    def _snapshot(self, event: ServerSentEvent) -> Task | None:
        if event.event == "deleted":
            raise TaskDeletedError(self.reader.task_id)
        if event.event != "task":
            return None  # event type of a newer API
        self._last_event_id = header_text(event.id)
        try:
            return Task.model_validate_json(event.data)
        except ValidationError as error:
            raise UnexpectedResponseError(self.calls.address.url, 200, "an event contains no task") from error
