"""Waiting for a task and streaming its changes."""

from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from darkroom.errors import (
    TaskDeletedError,
    TaskNotFoundError,
    UnauthenticatedError,
    UnexpectedResponseError,
    UnreachableError,
    WaitTimeoutError,
)
from darkroom.models.task import Task
from darkroom.task_stream import HOLD_SECONDS, IDLE_TIMEOUT_SECONDS, LONGEST_PAUSE_SECONDS, stream, wait
from scripted import Held, ScriptedApi, problem, reply, step, task_json

OPEN = {"Content-Type": "text/event-stream; charset=utf-8"}
HELD = {"Preference_Applied": f"wait={HOLD_SECONDS}"}
DROPPED = httpx.ReadError("the connection broke")


def opened() -> httpx.Response:
    return httpx.Response(200, headers=OPEN)


def event(task: dict[str, Any], etag: str = "e") -> ServerSentEvent:
    return ServerSentEvent(
        event="task", data=Task.model_validate(task).model_dump_json(by_alias=True), id=etag
    )


def unchanged(**headers: str) -> httpx.Response:
    return reply(None, 304, **headers)


def statuses(api: ScriptedApi) -> list[str]:
    return [task.status.value for task in api.recording.emitted]


def test_wait_sends_held_reads_without_a_pause(api: ScriptedApi) -> None:
    recording = api.run(
        wait(api.calls, "task-1", None),
        reply(task_json(), ETag='"1"'),
        Held(3.0, reply(step(1), ETag='"2"', **HELD)),
        Held(30.0, unchanged(**HELD)),
        Held(0.5, reply(task_json("completed"), ETag='"3"', **HELD)),
    )
    assert recording.result.status == "completed"
    assert recording.pauses == []
    first, *held = recording.requests
    assert "Prefer" not in first.headers
    assert {request.headers["Prefer"] for request in held} == {f"wait={HOLD_SECONDS}"}
    assert [request.headers["If-None-Match"] for request in held] == ['"1"', '"2"', '"2"']


def test_wait_pauses_between_reads_that_are_not_held(api: ScriptedApi) -> None:
    recording = api.run(
        wait(api.calls, "task-1", None),
        reply(task_json(), ETag='"1"'),
        *[unchanged() for _ in range(8)],
        reply(task_json("failed")),
    )
    assert recording.pauses[:3] == [0.25, 0.375, 0.5625]
    assert len(recording.pauses) == 8
    assert max(recording.pauses) == LONGEST_PAUSE_SECONDS


def test_wait_pauses_when_a_held_read_brings_nothing_at_once(api: ScriptedApi) -> None:
    recording = api.run(
        wait(api.calls, "task-1", None),
        reply(task_json(), ETag='"1"'),
        *[unchanged(**HELD) for _ in range(2)],
        reply(task_json(), ETag='"1"', **HELD),
        reply(task_json("failed"), **HELD),
    )
    assert recording.pauses == [0.25, 0.375, 0.5625]


def test_wait_works_without_etags(api: ScriptedApi) -> None:
    recording = api.run(
        wait(api.calls, "task-1", None),
        reply(task_json()),
        reply(task_json()),
        reply(task_json("cancelled")),
    )
    assert (recording.result.status, len(recording.pauses)) == ("cancelled", 1)


def test_wait_stops_holding_reads_for_a_while_when_refused(api: ScriptedApi) -> None:
    recording = api.run(
        wait(api.calls, "task-1", None),
        reply(task_json(), ETag='"1"'),
        problem("too_many_waiting", 429, retryable=True, Retry_After="1"),
        unchanged(),
        unchanged(),
        unchanged(),
        Held(9.0, reply(task_json("completed"), **HELD)),
    )
    assert ["Prefer" in request.headers for request in recording.requests] == [
        False, True, False, False, False, True,
    ]  # fmt: skip
    assert sum(recording.pauses) >= 1.0


def test_wait_raises_at_its_timeout(api: ScriptedApi) -> None:
    with pytest.raises(
        WaitTimeoutError, match=r"task task-1 did not finish within 5 s \(status: processing\)"
    ) as caught:
        api.run(
            wait(api.calls, "task-1", 5.0),
            reply(step(1), ETag='"1"'),
            Held(5.0, unchanged(Preference_Applied="wait=5")),
        )
    assert caught.value.task is not None
    assert api.recording.requests[-1].headers["Prefer"] == "wait=5"
    assert api.timeline.seconds == 1_005.0


@pytest.mark.parametrize("began", [0, 1, 3])
def test_wait_raises_at_its_timeout_when_the_api_hangs(api: ScriptedApi, began: int) -> None:
    reads = [reply(step(number), ETag=f'"{number}"') for number in range(began)]
    with pytest.raises(WaitTimeoutError):
        api.run(wait(api.calls, "task-1", 5.0), *reads, Held(60.0, reply(task_json("completed"))))
    assert api.timeline.seconds == pytest.approx(1_005.0)


def test_wait_raises_at_its_timeout_when_the_api_is_unreachable(api: ScriptedApi) -> None:
    with pytest.raises(WaitTimeoutError, match="no response"):
        api.run(wait(api.calls, "task-1", 3.0), *[DROPPED] * 3)
    assert api.recording.pauses == [0.5, 1.0, 1.5]


def test_wait_reads_once_with_a_timeout_of_zero(api: ScriptedApi) -> None:
    assert api.run(wait(api.calls, "task-1", 0), reply(task_json("completed"))).result.status == "completed"
    with pytest.raises(WaitTimeoutError):
        api.run(wait(api.calls, "task-1", 0), reply(task_json()), reply(task_json()))


def test_unchanged_is_no_response_to_a_read_without_a_condition(api: ScriptedApi) -> None:
    with pytest.raises(UnexpectedResponseError, match="status 304"):
        api.run(wait(api.calls, "task-1", None), unchanged())


def test_wait_shortens_the_last_pause_to_its_timeout(api: ScriptedApi) -> None:
    with pytest.raises(WaitTimeoutError):
        api.run(
            wait(api.calls, "task-1", 1.0),
            reply(task_json(), ETag='"1"'),
            *[unchanged() for _ in range(4)],
        )
    assert api.timeline.seconds == pytest.approx(1_001.0)


def test_wait_distinguishes_missing_and_deleted_tasks(api: ScriptedApi) -> None:
    with pytest.raises(TaskNotFoundError):
        api.run(wait(api.calls, "task-1", None), problem("task_not_found", 404))
    with pytest.raises(TaskDeletedError, match="task task-1 was deleted"):
        api.run(wait(api.calls, "task-1", None), reply(step(1), ETag='"1"'), problem("task_not_found", 404))


def test_stream_yields_each_changed_snapshot(api: ScriptedApi) -> None:
    api.run(
        stream(api.calls, "task-1", None),
        opened(),
        event(task_json()),
        event(step(1)),
        ServerSentEvent(event="from_the_future", data="?"),
        event(step(1)),
        event(task_json("completed")),
    )
    assert statuses(api) == ["queued", "processing", "completed"]
    (request,) = api.recording.requests
    assert request.url.path == "/v1/tasks/task-1/events"
    assert request.headers["Accept"] == "text/event-stream"
    assert request.extensions["timeout"]["read"] == IDLE_TIMEOUT_SECONDS


@pytest.mark.parametrize("ending", [None, DROPPED, httpx.ReadTimeout("idle")])
def test_stream_reconnects_with_last_event_id_when_it_breaks(
    api: ScriptedApi, ending: httpx.RequestError | None
) -> None:
    api.run(
        stream(api.calls, "task-1", None),
        opened(),
        event(step(1), etag="first"),
        ending,
        reply(step(2)),
        opened(),
        event(step(2), etag="second"),
        event(task_json("completed")),
    )
    assert [task.progress.step for task in api.recording.emitted] == [1, 2, 0]
    assert [request.url.path.rpartition("/")[2] for request in api.recording.requests] == [
        "events",
        "task-1",
        "events",
    ]
    assert api.recording.requests[-1].headers["Last-Event-ID"] == "first"


def test_stream_reads_when_the_api_has_no_events(api: ScriptedApi) -> None:
    api.run(
        stream(api.calls, "task-1", None),
        problem("not_found", 404),
        reply(task_json(), ETag='"1"'),
        Held(1.0, reply(step(1), ETag='"2"', **HELD)),
        Held(1.0, reply(task_json("completed"), **HELD)),
    )
    assert statuses(api) == ["queued", "processing", "completed"]
    assert sum(request.url.path.endswith("/events") for request in api.recording.requests) == 1


@pytest.mark.parametrize("refused", [httpx.Response(404, html="<h1>?</h1>"), httpx.Response(200, json={})])
def test_stream_reads_when_the_response_is_no_event_stream(api: ScriptedApi, refused: httpx.Response) -> None:
    api.run(stream(api.calls, "task-1", None), refused, reply(task_json("completed")))
    assert statuses(api) == ["completed"]


def test_stream_reads_until_retry_after_when_rate_limited(api: ScriptedApi) -> None:
    api.run(
        stream(api.calls, "task-1", None),
        problem("too_many_streams", 429, retryable=True, Retry_After="8"),
        reply(task_json(), ETag='"1"'),
        Held(9.0, reply(step(1), ETag='"2"', **HELD)),
        opened(),
        event(task_json("completed")),
    )
    assert statuses(api) == ["queued", "processing", "completed"]


def test_stream_only_reads_when_it_has_a_timeout(api: ScriptedApi) -> None:
    with pytest.raises(WaitTimeoutError):
        api.run(
            stream(api.calls, "task-1", 2.0), reply(task_json(), ETag='"1"'), Held(2.0, unchanged(**HELD))
        )
    assert statuses(api) == ["queued"]


def test_stream_raises_when_the_task_is_deleted(api: ScriptedApi) -> None:
    with pytest.raises(TaskDeletedError):
        api.run(stream(api.calls, "task-1", None), opened(), event(step(1)), ServerSentEvent(event="deleted"))


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (problem("task_not_found", 404), TaskNotFoundError),
        (problem("unauthenticated", 401), UnauthenticatedError),
    ],
)
def test_stream_raises_refusals_that_reads_would_get_too(
    api: ScriptedApi, refused: httpx.Response, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        api.run(stream(api.calls, "task-1", None), refused)


def test_stream_raises_when_an_event_contains_no_task(api: ScriptedApi) -> None:
    with pytest.raises(UnexpectedResponseError, match="an event contains no task"):
        api.run(stream(api.calls, "task-1", None), opened(), ServerSentEvent(event="task", data="{}"))


def test_stream_raises_after_retries_when_the_api_is_unreachable(api: ScriptedApi) -> None:
    with pytest.raises(UnreachableError):
        api.run(stream(api.calls, "task-1", None), opened(), event(step(1)), DROPPED, *[DROPPED] * 5)
    assert api.recording.pauses == [0.5, 1.0, 2.0, 4.0]
