"""The operations on tasks, including lost answers."""

import json
import re
from typing import Any

import httpx
import numpy
import pytest

from darkroom.errors import ClientError, ConfigurationError
from darkroom.models.task import TaskStatus
from darkroom.problem_errors import InvalidTransitionError, TaskNotFoundError
from darkroom.resources import tasks
from darkroom.submission import SubmissionFields
from frontend_api.tasks.schemas import TaskSubmission
from scripted import Stage, answer, problem, task_json

LOST = httpx.ReadTimeout("nothing came")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_every_try_of_a_submission_carries_the_same_key(stage: Stage) -> None:
    stage.play(
        tasks.submit(stage.calls, "a large red circle", {"steps": 4, "seed": None}, None),
        LOST,
        problem("dependency_unavailable", 503),
        answer(task_json(), 202),
    )
    requests = stage.played.requests
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1
    assert {request.content for request in requests} == {b'{"prompt":"a large red circle","steps":4}'}


def test_every_submission_has_a_key_of_its_own_unless_the_caller_has_one(stage: Stage) -> None:
    for key in (None, None, "order-1815"):
        stage.play(tasks.submit(stage.calls, "x", {}, key), answer(task_json(), 202))
    made_up, another, given = (request.headers["Idempotency-Key"] for request in stage.played.requests)
    assert made_up != another
    assert given == "order-1815"


def test_a_submission_that_was_stored_but_not_published_is_named(stage: Stage) -> None:
    stored = problem("dependency_unavailable", 503)
    body = stored.json() | {"task_id": "task-1"}
    unconfirmed = [httpx.Response(503, json=body, headers=stored.headers) for _ in range(5)]
    for each in unconfirmed:
        each.headers["Content-Type"] = "application/problem+json"
    with pytest.raises(Exception, match="stored, or may be: task-1") as caught:
        stage.play(tasks.submit(stage.calls, "x", {}, None), *unconfirmed)
    assert caught.value.task_id == "task-1"  # type: ignore[attr-defined]


def test_all_that_may_be_submitted_can_be(stage: Stage) -> None:
    assert {"prompt", *SubmissionFields.__annotations__} >= set(TaskSubmission.model_fields)


def test_pages_are_asked_for_as_they_are_reached(stage: Stage) -> None:
    flow = tasks.list_all(stage.calls, status=TaskStatus.FAILED, model=None, page_size=2)
    stage.play(
        flow,
        answer({"tasks": [task_json(id="a"), task_json(id="b")], "next_page_token": "more"}),
        answer({"tasks": [task_json(id="c")], "next_page_token": None}),
    )
    assert [task.id for task in stage.played.told] == ["a", "b", "c"]
    first, second = (dict(request.url.params) for request in stage.played.requests)
    assert first == {"page_size": "2", "status": "failed"}
    assert second == {**first, "page_token": "more"}


def test_a_retry_whose_answer_was_lost_has_happened(stage: Stage) -> None:
    played = stage.play(
        tasks.retry(stage.calls, "task-1"),
        LOST,
        problem("invalid_transition", 409),
        answer(task_json("queued")),
    )
    assert played.result.status is TaskStatus.QUEUED


@pytest.mark.parametrize("outcomes", [
    [problem("invalid_transition", 409)],
    [LOST, problem("invalid_transition", 409), answer(task_json("completed"))],
])  # fmt: skip
def test_a_retry_that_is_refused_is_refused(stage: Stage, outcomes: list[object]) -> None:
    with pytest.raises(InvalidTransitionError):
        stage.play(tasks.retry(stage.calls, "task-1"), *outcomes)


def test_a_deletion_whose_answer_was_lost_has_happened(stage: Stage) -> None:
    stage.play(tasks.delete(stage.calls, "task-1"), LOST, problem("task_not_found", 404))
    with pytest.raises(TaskNotFoundError):
        stage.play(tasks.delete(stage.calls, "task-1"), problem("task_not_found", 404))


def test_numbers_of_numpy_are_sent_as_numbers(stage: Stage) -> None:
    fields: Any = {"seed": numpy.int64(3), "guidance_scale": numpy.float32(2), "steps": numpy.uint8(4)}
    flow = tasks.submit(stage.calls, "a", fields, None)
    stage.play(flow, answer(task_json(), 202))
    sent = json.loads(stage.played.requests[0].content)
    assert sent == {"prompt": "a", "seed": 3, "guidance_scale": 2.0, "steps": 4}


@pytest.mark.parametrize(
    ("prompt", "fields", "said"),
    [
        ("a", {"guidance_scale": float("nan")}, "/guidance_scale: must be a finite number (got nan)"),
        ("a", {"guidance_scale": numpy.float64("inf")}, "/guidance_scale: must be a finite number (got inf)"),
        ("a\ud83d", {}, "/prompt: must be valid Unicode"),
        (b"a", {}, "/prompt: must be text, a number, a list or a mapping (got bytes)"),
        ("a", {"labels": {"team": b"x"}}, "/labels/team: must be text"),
        ("a", {"labels": {"\udc00": "x"}}, "/labels: must be valid Unicode"),
        ("a", {"labels": {1: "x"}}, "/labels: has a field name that is not text (got int)"),
        ("a", {"callback_events": ["finished", {1, 2}]}, "/callback_events/1: must be text"),
        ("a", {"seed": numpy.arange(2)}, "/seed: must be text, a number, a list or a mapping (got ndarray)"),
    ],
)
def test_what_json_cannot_say_is_refused_before_anything_is_sent(
    stage: Stage, prompt: Any, fields: Any, said: str
) -> None:
    for call in (lambda: tasks.submit(stage.calls, prompt, fields, None),
                 lambda: tasks.estimate(stage.calls, prompt, fields)):  # fmt: skip
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            stage.play(call())
    assert not stage.played.requests


UNCONFIRMED = problem("dependency_unavailable", 503, retryable=True)
NEVER_SENT = httpx.ConnectError("refused")


def named(answered: httpx.Response) -> httpx.Response:
    """Return the same problem with the id of a task."""
    return httpx.Response(503, json=answered.json() | {"task_id": "task-1"}, headers=answered.headers)


@pytest.mark.parametrize(
    ("outcomes", "is_unknown"),
    [
        ([NEVER_SENT] * 5, False),
        ([UNCONFIRMED] * 5, False),
        ([LOST, *[NEVER_SENT] * 4], True),
        ([LOST] * 5, True),
        ([named(UNCONFIRMED), *[NEVER_SENT] * 4], True),
        ([httpx.Response(502)] * 5, True),
        ([LOST, problem("parameters_rejected", 422)], False),
        ([LOST, *[problem("quota_exceeded", 429, retryable=True)] * 4], True),
    ],
)
def test_an_error_says_whether_the_task_may_have_been_accepted(
    stage: Stage, outcomes: list[Any], is_unknown: bool
) -> None:
    flow = tasks.submit(stage.calls, "a", {}, None)
    with pytest.raises(ClientError) as caught:
        stage.play(flow, *outcomes)
    assert caught.value.outcome_is_unknown is is_unknown
    assert len({request.headers["Idempotency-Key"] for request in stage.played.requests}) == 1
