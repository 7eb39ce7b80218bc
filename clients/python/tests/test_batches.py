"""Batch submissions: outcomes and retries per item."""

import json
import re
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest

from darkroom.errors import (
    ConfigurationError,
    NotFoundError,
    ParametersRejectedError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from darkroom.models.task import Task
from darkroom.resources import batches
from darkroom.submission import Submission
from scripted import ScriptedApi, problem, reply, task_json


def accepted(name: str) -> dict[str, Any]:
    return {"status": 202, "task": task_json(id=name), "problem": None, "retry_after_seconds": None}


def refused(code: str, status: int, *, wait: int | None = None, retryable: bool = False) -> dict[str, Any]:
    body = problem(code, status, retryable=retryable).json()
    return {"status": status, "task": None, "problem": body, "retry_after_seconds": wait}


def results(*each: dict[str, Any]) -> httpx.Response:
    return reply({"results": list(each)})


def sent(api: ScriptedApi) -> list[list[dict[str, Any]]]:
    return [json.loads(request.content)["tasks"] for request in api.recording.requests]


def test_submit_many_returns_a_task_or_an_error_per_item(api: ScriptedApi) -> None:
    items: list[Submission] = [{"prompt": "a", "steps": 4}, {"prompt": "b", "seed": None}]
    operation = batches.submit_many(api.calls, items)
    task, refusal = api.run(operation, results(accepted("one"), refused("parameters_rejected", 422))).result
    assert isinstance(task, Task)
    assert isinstance(refusal, ParametersRejectedError)
    assert task.id == "one"
    assert refusal.errors[0].location == "/steps"
    ((first, second),) = sent(api)
    assert (first["prompt"], first["steps"]) == ("a", 4)
    assert set(second) == {"prompt", "idempotency_key"}
    assert first["idempotency_key"] != second["idempotency_key"]


def test_submit_many_sends_no_body_that_is_too_large(api: ScriptedApi) -> None:
    items: list[Submission] = [{"prompt": "🌅" * 2_000, "negative_prompt": "🌅" * 2_000}] * 150
    parts = (61, 61, 28)
    api.run(
        batches.submit_many(api.calls, items),
        *(results(*(accepted(str(number)) for number in range(count))) for count in parts),
    )
    assert tuple(map(len, sent(api))) == parts
    assert all(len(request.content) <= 1_000_000 for request in api.recording.requests)


def test_submit_many_retries_only_retryable_items(api: ScriptedApi) -> None:
    operation = batches.submit_many(api.calls, [{"prompt": "a"}, {"prompt": "b", "idempotency_key": "k"}])
    api.run(
        operation,
        results(accepted("one"), refused("quota_exceeded", 429, wait=7, retryable=True)),
        results(accepted("two")),
    )
    assert [task.id for task in api.recording.result] == ["one", "two"]
    assert api.recording.pauses == [7.0]
    assert sent(api)[1] == [{"prompt": "b", "idempotency_key": "k"}]


def test_submit_many_returns_the_error_when_retry_after_is_too_long(api: ScriptedApi) -> None:
    full = results(refused("queue_full", 429, wait=3_600, retryable=True))
    (outcome,) = api.run(batches.submit_many(api.calls, [{"prompt": "a"}]), full).result
    assert isinstance(outcome, TooManyRequestsError)
    assert outcome.retry_after_seconds == 3_600
    assert api.recording.pauses == []


def test_submit_many_keeps_the_keys_when_a_response_is_lost(api: ScriptedApi) -> None:
    operation = batches.submit_many(api.calls, [{"prompt": "a"}])
    api.run(operation, httpx.ReadTimeout("no response"), results(accepted("one")))
    first, second = sent(api)
    assert first == second


def test_submit_many_splits_calls_and_isolates_their_failures(api: ScriptedApi) -> None:
    count = batches.MAX_ITEMS + 5
    operation = batches.submit_many(api.calls, [{"prompt": str(number)} for number in range(count)])
    first = results(*(accepted(str(number)) for number in range(batches.MAX_ITEMS)))
    outcomes = api.run(operation, first, *[httpx.ConnectError("refused")] * 5).result
    assert [task.id for task in outcomes[:-5]] == [str(number) for number in range(batches.MAX_ITEMS)]
    assert all(isinstance(outcome, UnreachableError) for outcome in outcomes[-5:])


def test_submit_many_does_not_retry_a_failed_call_per_item(api: ScriptedApi) -> None:
    unavailable = [problem("dependency_unavailable", 503, retryable=True) for _ in range(5)]
    (outcome,) = api.run(batches.submit_many(api.calls, [{"prompt": "a"}]), *unavailable).result
    assert isinstance(outcome, UnavailableError)


LOST = httpx.ReadTimeout("no response")
UNCONFIRMED = {
    "status": 503, "task": None, "retry_after_seconds": None,
    "problem": problem("dependency_unavailable", 503, retryable=True, task_id="task-1").json(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "is_unknown"),
    [
        ([LOST, results(refused("idempotency_key_reused", 422))], True),
        ([LOST, results(refused("quota_exceeded", 429, wait=3_600, retryable=True))], True),
        ([LOST, results(refused("parameters_rejected", 422))], False),
        ([LOST, problem("unauthenticated", 401)], True),
        ([results(UNCONFIRMED), problem("user_not_allowed", 403)], True),
        ([results(UNCONFIRMED), results(refused("idempotency_key_reused", 422))], True),
        ([results(UNCONFIRMED), results(refused("parameters_rejected", 422))], False),
        ([results(UNCONFIRMED), *[httpx.ConnectError("refused")] * 5], True),
        ([results(refused("idempotency_key_reused", 422))], False),
    ],
)
def test_item_says_whether_its_outcome_is_unknown(
    api: ScriptedApi, outcomes: list[Any], is_unknown: bool
) -> None:
    (error,) = api.run(batches.submit_many(api.calls, [{"prompt": "a"}]), *outcomes).result
    assert error.outcome_is_unknown is is_unknown


def test_submit_many_returns_nothing_for_no_items(api: ScriptedApi) -> None:
    assert api.run(batches.submit_many(api.calls, [])).result == ()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"steps": 1}, "submission 1 (counted from 0): /prompt: is required"),
        (
            {"prompt": "a", "guidance_scale": float("nan")},
            "submission 1 (counted from 0): /guidance_scale: must be a finite",
        ),
        (
            {"prompt": "a", "idempotency_key": b"k"},
            "submission 1 (counted from 0): the Idempotency-Key must be",
        ),
    ],
)
def test_submit_many_names_an_invalid_item_before_sending(
    api: ScriptedApi, second: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        api.run(batches.submit_many(api.calls, [{"prompt": "a"}, second]))
    assert not api.recording.requests


def test_submit_many_retries_an_unknown_outcome_with_its_key(api: ScriptedApi) -> None:
    unknown = refused("dependency_unavailable", 503, wait=2, retryable=True)
    unknown["problem"]["task_id"] = "one"
    api.run(
        batches.submit_many(api.calls, [{"prompt": "a"}, {"prompt": "b"}]),
        results(unknown, accepted("two")),
        results(accepted("one")),
    )
    assert [task.id for task in api.recording.result] == ["one", "two"]
    first, again = sent(api)
    assert again == first[:1]


def changed(name: str) -> dict[str, Any]:
    return {**accepted(name), "status": 200, "task_id": name}


def unchanged(name: str, code: str, status: int, **changes: Any) -> dict[str, Any]:
    return {**refused(code, status, **changes), "task_id": name}


def bodies(api: ScriptedApi) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in api.recording.requests]


def test_change_many_sends_each_id_once_and_a_hundred_per_call(api: ScriptedApi) -> None:
    names = [f"task-{number}" for number in range(batches.MAX_ITEMS + 1)]
    operation = batches.change_many(api.calls, "cancel", [*names, "task-0"], {})
    parts = (names[:-1], names[-1:])
    outcomes = api.run(operation, *(results(*map(changed, part)) for part in parts)).result
    assert [body["task_ids"] for body in bodies(api)] == list(parts)
    assert {name: task.id for name, task in outcomes.items()} == {name: name for name in names}


def test_change_many_retries_only_retryable_tasks(api: ScriptedApi) -> None:
    operation = batches.change_many(api.calls, "label", ["a", "b", "c"], {}, {"labels": {"team": None}})
    limited = unchanged("b", "quota_exceeded", 429, wait=7, retryable=True)
    missing = unchanged("c", "task_not_found", 404)
    outcomes = api.run(operation, results(changed("a"), limited, missing), results(changed("b"))).result
    assert [type(outcome) for outcome in outcomes.values()] == [Task, Task, TaskNotFoundError]
    assert api.recording.pauses == [7.0]
    assert bodies(api)[1] == {"labels": {"team": None}, "task_ids": ["b"]}


def test_change_many_follows_the_pages_of_a_filter(api: ScriptedApi) -> None:
    before = datetime(2026, 11, 20, tzinfo=timezone.utc)
    operation = batches.change_many(api.calls, "cancel", None, {"status": "queued", "created_before": before})
    first = reply({"results": [changed("b")], "next_page_token": "x"})
    outcomes = api.run(operation, first, results(changed("a"))).result
    assert list(outcomes) == ["b", "a"]
    selected = {"status": "queued", "created_before": before.astimezone().isoformat()}
    assert bodies(api) == [{"filter": selected}, {"filter": selected, "page_token": "x"}]


def test_change_many_returns_none_for_deleted_tasks(api: ScriptedApi) -> None:
    deleted = {"task_id": "a", "status": 204, "task": None, "problem": None}
    missing = unchanged("b", "task_not_found", 404)
    outcomes = api.run(batches.change_many(api.calls, "delete", ["a", "b"], {}), results(deleted, missing))
    assert outcomes.result["a"] is None
    assert isinstance(outcomes.result["b"], TaskNotFoundError)


def test_task_that_an_earlier_attempt_may_have_deleted_is_no_error(api: ScriptedApi) -> None:
    a, b = (unchanged(name, "task_not_found", 404) for name in "ab")
    lost = api.run(batches.change_many(api.calls, "delete", ["a", "b"], {}), LOST, results(a, b)).result
    assert lost == {"a": None, "b": None}
    failed = unchanged("a", "dependency_unavailable", 503, retryable=True)
    repeated = api.run(
        batches.change_many(api.calls, "delete", ["a", "b"], {}), results(failed, b), results(a)
    ).result
    assert repeated["a"] is None
    assert isinstance(repeated["b"], TaskNotFoundError)


def test_task_that_was_refused_and_does_not_exist_is_an_error(api: ScriptedApi) -> None:
    limited = unchanged("a", "quota_exceeded", 429, retryable=True)
    failed = unchanged("b", "dependency_unavailable", 503, retryable=True)
    missing = [unchanged(name, "task_not_found", 404) for name in "ab"]
    operation = batches.change_many(api.calls, "delete", ["a", "b"], {})
    outcomes = api.run(operation, results(limited, failed), results(*missing)).result
    assert isinstance(outcomes["a"], TaskNotFoundError)
    assert outcomes["b"] is None


def test_unknown_address_deletes_nothing(api: ScriptedApi) -> None:
    operation = batches.change_many(api.calls, "delete", ["a"], {})
    (outcome,) = api.run(operation, LOST, problem("not_found", 404)).result.values()
    assert isinstance(outcome, NotFoundError)


@pytest.mark.parametrize(
    ("verb", "stated"),
    [
        ("delete", []),
        ("delete", [{"task_id": "b", "status": 204, "task": None, "problem": None}]),
        ("delete", [{"task_id": "a", "status": 200, "task": None, "problem": None}]),
        ("cancel", [{"task_id": "a", "status": 204, "task": None, "problem": None}]),
    ],
)
def test_result_that_confirms_no_change_is_an_error(
    api: ScriptedApi, verb: str, stated: list[dict[str, Any]]
) -> None:
    outcomes = api.run(batches.change_many(api.calls, verb, ["a"], {}), results(*stated)).result
    assert list(outcomes) == ["a"]
    assert isinstance(outcomes["a"], UnexpectedResponseError)


def test_change_many_isolates_a_failed_call(api: ScriptedApi) -> None:
    names = [f"task-{number}" for number in range(batches.MAX_ITEMS + 1)]
    operation = batches.change_many(api.calls, "cancel", names, {})
    outcomes = api.run(
        operation, results(*map(changed, names[:-1])), *[httpx.ConnectError("refused")] * 5
    ).result
    assert isinstance(outcomes[names[-1]], UnreachableError)
    assert all(isinstance(outcomes[name], Task) for name in names[:-1])


@pytest.mark.parametrize(
    ("tasks", "filters", "message"),
    [
        (None, {}, "give either tasks, or at least one filter"),
        (None, {"status": None}, "give either tasks, or at least one filter"),
        (["a"], {"status": "queued"}, "give either tasks, or at least one filter"),
        ("a", {}, "the tasks must be a list"),
    ],
)
def test_change_many_refuses_an_ambiguous_selection(
    api: ScriptedApi, tasks: Any, filters: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        api.run(batches.change_many(api.calls, "delete", tasks, filters))
    assert not api.recording.requests


def test_each_error_of_a_failed_call_has_the_key_of_its_item(api: ScriptedApi) -> None:
    submissions: list[Any] = [{"prompt": "a"}, {"prompt": "b", "idempotency_key": "order-7"}]
    errors = api.run(batches.submit_many(api.calls, submissions), *[LOST] * 5).result
    assert all(error.outcome_is_unknown for error in errors)
    assert [error.idempotency_key for error in errors] == [item["idempotency_key"] for item in sent(api)[0]]
    assert errors[1].idempotency_key == "order-7"
