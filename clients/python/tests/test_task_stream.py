"""Following a task by events, by long polls and by plain polls."""

from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from darkroom.errors import TaskDeletedError, UnexpectedAnswerError, UnreachableError, WaitTimeoutError
from darkroom.models.task import Task
from darkroom.problem_errors import TaskNotFoundError, UnauthenticatedError
from darkroom.task_stream import HOLD_SECONDS, LONGEST_PAUSE_SECONDS, SILENCE_SECONDS, stream, wait
from scripted import Held, Stage, answer, problem, step, task_json

OPEN = {"Content-Type": "text/event-stream; charset=utf-8"}
HELD = {"Preference_Applied": f"wait={HOLD_SECONDS}"}
DROPPED = httpx.ReadError("the connection broke")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def opened() -> httpx.Response:
    return httpx.Response(200, headers=OPEN)


def event(task: dict[str, Any], etag: str = "e") -> ServerSentEvent:
    return ServerSentEvent(
        event="task", data=Task.model_validate(task).model_dump_json(by_alias=True), id=etag
    )


def unchanged(**headers: str) -> httpx.Response:
    return answer(None, 304, **headers)


def statuses(stage: Stage) -> list[str]:
    return [task.status.value for task in stage.played.told]


def test_held_reads_follow_one_another_without_a_pause(stage: Stage) -> None:
    played = stage.play(
        wait(stage.calls, "task-1", None),
        answer(task_json(), ETag='"1"'),
        Held(3.0, answer(step(1), ETag='"2"', **HELD)),
        Held(30.0, unchanged(**HELD)),
        Held(0.5, answer(task_json("completed"), ETag='"3"', **HELD)),
    )
    assert played.result.status == "completed"
    assert played.pauses == []
    first, *held = played.requests
    assert "Prefer" not in first.headers
    assert {request.headers["Prefer"] for request in held} == {f"wait={HOLD_SECONDS}"}
    assert [request.headers["If-None-Match"] for request in held] == ['"1"', '"2"', '"2"']


def test_reads_that_nobody_holds_are_paced(stage: Stage) -> None:
    played = stage.play(
        wait(stage.calls, "task-1", None),
        answer(task_json(), ETag='"1"'),
        *[unchanged() for _ in range(8)],
        answer(task_json("failed")),
    )
    assert played.pauses[:3] == [0.25, 0.375, 0.5625]
    assert len(played.pauses) == 8
    assert max(played.pauses) == LONGEST_PAUSE_SECONDS


def test_an_api_without_etags_is_read_all_the_same(stage: Stage) -> None:
    played = stage.play(
        wait(stage.calls, "task-1", None),
        answer(task_json()),
        answer(task_json()),
        answer(task_json("cancelled")),
    )
    assert (played.result.status, len(played.pauses)) == ("cancelled", 1)


def test_where_no_place_to_wait_is_left_reads_are_not_held_for_a_while(stage: Stage) -> None:
    played = stage.play(
        wait(stage.calls, "task-1", None),
        answer(task_json(), ETag='"1"'),
        problem("too_many_waiting", 429, retryable=True, Retry_After="1"),
        unchanged(),
        unchanged(),
        unchanged(),
        Held(9.0, answer(task_json("completed"), **HELD)),
    )
    assert ["Prefer" in request.headers for request in played.requests] == [
        False, True, False, False, False, True,
    ]  # fmt: skip
    assert sum(played.pauses) >= 1.0


def test_the_time_is_up_when_it_is_up(stage: Stage) -> None:
    with pytest.raises(WaitTimeoutError, match="is processing and has not ended within 5 s") as caught:
        stage.play(
            wait(stage.calls, "task-1", 5.0),
            answer(step(1), ETag='"1"'),
            Held(5.0, unchanged(Preference_Applied="wait=5")),
        )
    assert caught.value.task is not None
    assert stage.played.requests[-1].headers["Prefer"] == "wait=5"
    assert stage.timeline.seconds == 1_005.0


def test_who_has_no_time_looks_once(stage: Stage) -> None:
    assert (
        stage.play(wait(stage.calls, "task-1", 0), answer(task_json("completed"))).result.status
        == "completed"
    )
    with pytest.raises(WaitTimeoutError):
        stage.play(wait(stage.calls, "task-1", 0), answer(task_json()), unchanged())


def test_pauses_end_on_time(stage: Stage) -> None:
    with pytest.raises(WaitTimeoutError):
        stage.play(
            wait(stage.calls, "task-1", 1.0),
            answer(task_json(), ETag='"1"'),
            *[unchanged() for _ in range(4)],
        )
    assert stage.timeline.seconds == pytest.approx(1_001.0)


def test_a_task_that_never_was_is_told_apart_from_one_that_was_deleted(stage: Stage) -> None:
    with pytest.raises(TaskNotFoundError):
        stage.play(wait(stage.calls, "task-1", None), problem("task_not_found", 404))
    with pytest.raises(TaskDeletedError, match="task task-1 was deleted"):
        stage.play(
            wait(stage.calls, "task-1", None), answer(step(1), ETag='"1"'), problem("task_not_found", 404)
        )


def test_events_are_told_as_they_come(stage: Stage) -> None:
    stage.play(
        stream(stage.calls, "task-1", None),
        opened(),
        event(task_json()),
        event(step(1)),
        ServerSentEvent(event="from_the_future", data="?"),
        event(step(1)),
        event(task_json("completed")),
    )
    assert statuses(stage) == ["queued", "processing", "completed"]
    (request,) = stage.played.requests
    assert request.url.path == "/v1/tasks/task-1/events"
    assert request.headers["Accept"] == "text/event-stream"
    assert request.extensions["timeout"]["read"] == SILENCE_SECONDS


@pytest.mark.parametrize("ending", [None, DROPPED, httpx.ReadTimeout("silence")])
def test_a_stream_that_ends_early_goes_on_where_it_was(
    stage: Stage, ending: httpx.RequestError | None
) -> None:
    stage.play(
        stream(stage.calls, "task-1", None),
        opened(),
        event(step(1), etag="first"),
        ending,
        answer(step(2)),
        opened(),
        event(step(2), etag="second"),
        event(task_json("completed")),
    )
    assert [task.progress.step for task in stage.played.told] == [1, 2, 0]
    assert [request.url.path.rpartition("/")[2] for request in stage.played.requests] == [
        "events",
        "task-1",
        "events",
    ]
    assert stage.played.requests[-1].headers["Last-Event-ID"] == "first"


def test_an_api_without_events_is_read(stage: Stage) -> None:
    stage.play(
        stream(stage.calls, "task-1", None),
        problem("not_found", 404),
        answer(task_json(), ETag='"1"'),
        Held(1.0, answer(step(1), ETag='"2"', **HELD)),
        Held(1.0, answer(task_json("completed"), **HELD)),
    )
    assert statuses(stage) == ["queued", "processing", "completed"]
    assert sum(request.url.path.endswith("/events") for request in stage.played.requests) == 1


@pytest.mark.parametrize("refused", [httpx.Response(404, html="<h1>?</h1>"), httpx.Response(200, json={})])
def test_whatever_else_stands_at_the_address_of_events_is_no_stream(
    stage: Stage, refused: httpx.Response
) -> None:
    stage.play(stream(stage.calls, "task-1", None), refused, answer(task_json("completed")))
    assert statuses(stage) == ["completed"]


def test_when_no_stream_is_left_reads_bridge_the_time(stage: Stage) -> None:
    stage.play(
        stream(stage.calls, "task-1", None),
        problem("too_many_streams", 429, retryable=True, Retry_After="8"),
        answer(task_json(), ETag='"1"'),
        Held(9.0, answer(step(1), ETag='"2"', **HELD)),
        opened(),
        event(task_json("completed")),
    )
    assert statuses(stage) == ["queued", "processing", "completed"]


def test_with_a_timeout_a_stream_reads(stage: Stage) -> None:
    with pytest.raises(WaitTimeoutError):
        stage.play(
            stream(stage.calls, "task-1", 2.0), answer(task_json(), ETag='"1"'), Held(2.0, unchanged(**HELD))
        )
    assert statuses(stage) == ["queued"]


def test_a_deletion_is_an_event_too(stage: Stage) -> None:
    with pytest.raises(TaskDeletedError):
        stage.play(
            stream(stage.calls, "task-1", None), opened(), event(step(1)), ServerSentEvent(event="deleted")
        )


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (problem("task_not_found", 404), TaskNotFoundError),
        (problem("unauthenticated", 401), UnauthenticatedError),
    ],
)
def test_a_refusal_of_events_that_reads_would_meet_too_is_raised(
    stage: Stage, refused: httpx.Response, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        stage.play(stream(stage.calls, "task-1", None), refused)


def test_an_event_that_holds_no_task_is_nothing_of_darkrooms(stage: Stage) -> None:
    with pytest.raises(UnexpectedAnswerError, match="an event holds no task"):
        stage.play(stream(stage.calls, "task-1", None), opened(), ServerSentEvent(event="task", data="{}"))


def test_an_api_that_vanished_is_told_after_patience(stage: Stage) -> None:
    with pytest.raises(UnreachableError):
        stage.play(stream(stage.calls, "task-1", None), opened(), event(step(1)), DROPPED, *[DROPPED] * 5)
    assert stage.played.pauses == [0.5, 1.0, 2.0, 4.0]
