"""Operations on tasks, including lost responses."""

import json
import re
from datetime import datetime, timezone
from typing import Any

import httpx
import numpy
import pytest

from darkroom.errors import (
    ClientError,
    ConfigurationError,
    InvalidTransitionError,
    NotFoundError,
    TaskNotFoundError,
    UnavailableError,
)
from darkroom.models.task import TaskStatus
from darkroom.resources import dead_letters, tasks
from scripted import ScriptedApi, problem, reply, task_json

LOST = httpx.ReadTimeout("no response")


def test_submit_sends_one_key_with_all_attempts(api: ScriptedApi) -> None:
    api.run(
        tasks.submit(api.calls, "a large red circle", {"steps": 4, "seed": None}, None),
        LOST,
        problem("dependency_unavailable", 503),
        reply(task_json(), 202),
    )
    requests = api.recording.requests
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1
    assert {request.content for request in requests} == {b'{"prompt":"a large red circle","steps":4}'}


def test_submit_generates_a_key_unless_one_is_given(api: ScriptedApi) -> None:
    for key in (None, None, "order-1815"):
        api.run(tasks.submit(api.calls, "x", {}, key), reply(task_json(), 202))
    generated, another, given = (request.headers["Idempotency-Key"] for request in api.recording.requests)
    assert generated != another
    assert given == "order-1815"


def test_submit_error_names_the_task_that_may_be_stored(api: ScriptedApi) -> None:
    unconfirmed = [problem("dependency_unavailable", 503, task_id="task-1") for _ in range(5)]
    with pytest.raises(UnavailableError, match="may be stored: task-1") as caught:
        api.run(tasks.submit(api.calls, "x", {}, None), *unconfirmed)
    assert caught.value.task_id == "task-1"


def test_list_all_fetches_pages_lazily(api: ScriptedApi) -> None:
    operation = tasks.list_all(api.calls, {"status": TaskStatus.FAILED, "model": None}, 2)
    api.run(
        operation,
        reply({"tasks": [task_json(id="a"), task_json(id="b")], "next_page_token": "more"}),
        reply({"tasks": [task_json(id="c")], "next_page_token": None}),
    )
    assert [task.id for task in api.recording.emitted] == ["a", "b", "c"]
    first, second = (dict(request.url.params) for request in api.recording.requests)
    assert first == {"page_size": "2", "status": "failed"}
    assert second == {**first, "page_token": "more"}


def test_retry_succeeds_when_an_earlier_attempt_did(api: ScriptedApi) -> None:
    recording = api.run(
        tasks.retry(api.calls, "task-1"),
        LOST,
        problem("invalid_transition", 409),
        reply(task_json("queued")),
    )
    assert recording.result.status is TaskStatus.QUEUED


@pytest.mark.parametrize("outcomes", [
    [problem("invalid_transition", 409)],
    [LOST, problem("invalid_transition", 409), reply(task_json("completed"))],
])  # fmt: skip
def test_retry_raises_when_the_task_is_not_queued(api: ScriptedApi, outcomes: list[object]) -> None:
    with pytest.raises(InvalidTransitionError):
        api.run(tasks.retry(api.calls, "task-1"), *outcomes)


def test_delete_ignores_not_found_after_a_lost_response(api: ScriptedApi) -> None:
    api.run(tasks.delete(api.calls, "task-1"), LOST, problem("task_not_found", 404))
    with pytest.raises(TaskNotFoundError):
        api.run(tasks.delete(api.calls, "task-1"), problem("task_not_found", 404))


NEVER_EXECUTED = (
    problem("quota_exceeded", 429, retryable=True),
    httpx.ConnectError("refused"),
)


@pytest.mark.parametrize("first", NEVER_EXECUTED, ids=["refused", "not sent"])
def test_delete_and_retry_raise_after_an_attempt_that_was_not_executed(api: ScriptedApi, first: Any) -> None:
    with pytest.raises(TaskNotFoundError):
        api.run(tasks.delete(api.calls, "task-1"), first, problem("task_not_found", 404))
    with pytest.raises(InvalidTransitionError):
        api.run(tasks.retry(api.calls, "task-1"), first, problem("invalid_transition", 409))


def test_delete_and_retry_may_have_been_executed_before_a_server_error(api: ScriptedApi) -> None:
    failed = problem("dependency_unavailable", 503, retryable=True)
    api.run(tasks.delete(api.calls, "task-1"), failed, problem("task_not_found", 404))
    retried = api.run(
        tasks.retry(api.calls, "task-1"), failed, problem("invalid_transition", 409), reply(task_json())
    )
    assert retried.result.status == "queued"


def test_delete_raises_when_the_address_is_unknown_after_a_lost_response(api: ScriptedApi) -> None:
    with pytest.raises(NotFoundError):
        api.run(tasks.delete(api.calls, "task-1"), LOST, problem("not_found", 404))


def test_purge_ends_when_nothing_was_deleted(api: ScriptedApi) -> None:
    operation = dead_letters.purge(api.calls, datetime(2026, 1, 1, tzinfo=timezone.utc))
    pages = [reply({"deleted": deleted, "more": True}) for deleted in (100, 7, 0)]
    assert api.run(operation, *pages).result == 107


def test_submit_accepts_numpy_numbers(api: ScriptedApi) -> None:
    fields: Any = {"seed": numpy.int64(3), "guidance_scale": numpy.float32(2), "steps": numpy.uint8(4)}
    operation = tasks.submit(api.calls, "a", fields, None)
    api.run(operation, reply(task_json(), 202))
    sent = json.loads(api.recording.requests[0].content)
    assert sent == {"prompt": "a", "seed": 3, "guidance_scale": 2.0, "steps": 4}


@pytest.mark.parametrize(
    ("prompt", "fields", "message"),
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
def test_submit_refuses_values_that_json_cannot_represent(
    api: ScriptedApi, prompt: Any, fields: Any, message: str
) -> None:
    for call in (lambda: tasks.submit(api.calls, prompt, fields, None),
                 lambda: tasks.estimate(api.calls, prompt, fields)):  # fmt: skip
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            api.run(call())
    assert not api.recording.requests


UNCONFIRMED = problem("dependency_unavailable", 503, retryable=True)
NEVER_SENT = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("outcomes", "is_unknown"),
    [
        ([NEVER_SENT] * 5, False),
        ([UNCONFIRMED] * 5, False),
        ([LOST, *[NEVER_SENT] * 4], True),
        ([LOST] * 5, True),
        ([problem("dependency_unavailable", 503, retryable=True, task_id="task-1"), *[NEVER_SENT] * 4], True),
        ([httpx.Response(502)] * 5, True),
        ([LOST, problem("parameters_rejected", 422)], False),
        ([LOST, problem("content_policy_violation", 422)], False),
        ([LOST, problem("unknown_model", 422)], False),
        ([problem("idempotency_key_reused", 422)], False),
        ([LOST, problem("idempotency_key_reused", 422)], True),
        ([LOST, problem("unauthenticated", 401)], True),
        ([LOST, problem("user_not_allowed", 403)], True),
        ([LOST, problem("untrusted_host", 400)], True),
        ([LOST, httpx.Response(403)], True),
        ([problem("unauthenticated", 401)], False),
        ([LOST, *[problem("quota_exceeded", 429, retryable=True)] * 4], True),
    ],
)
def test_error_says_whether_the_outcome_is_unknown(
    api: ScriptedApi, outcomes: list[Any], is_unknown: bool
) -> None:
    operation = tasks.submit(api.calls, "a", {}, None)
    with pytest.raises(ClientError) as caught:
        api.run(operation, *outcomes)
    assert caught.value.outcome_is_unknown is is_unknown
    assert len({request.headers["Idempotency-Key"] for request in api.recording.requests}) == 1
