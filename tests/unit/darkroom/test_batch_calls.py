"""Batch submissions: each item has its own outcome, and its own retries where these help."""

import json
import re
from typing import Any

import httpx
import pytest

from darkroom.errors import ConfigurationError, UnreachableError
from darkroom.models.task import Task
from darkroom.problem_errors import ParametersRejectedError, TooManyRequestsError, UnavailableError
from darkroom.resources import batches
from darkroom.submission import Submission, SubmissionFields
from frontend_api.tasks.schemas import MAX_BATCH_ITEMS, BatchItem
from scripted import Stage, answer, problem, task_json


@pytest.fixture
def stage() -> Stage:
    return Stage()


def accepted(name: str) -> dict[str, Any]:
    return {"status": 202, "task": task_json(id=name), "problem": None, "retry_after_seconds": None}


def refused(code: str, status: int, *, wait: int | None = None, retryable: bool = False) -> dict[str, Any]:
    told = problem(code, status, retryable=retryable).json()
    return {"status": status, "task": None, "problem": told, "retry_after_seconds": wait}


def results(*each: dict[str, Any]) -> httpx.Response:
    return answer({"results": list(each)})


def sent(stage: Stage) -> list[list[dict[str, Any]]]:
    return [json.loads(request.content)["tasks"] for request in stage.played.requests]


def test_each_item_has_its_task_or_its_refusal(stage: Stage) -> None:
    items: list[Submission] = [{"prompt": "a", "steps": 4}, {"prompt": "b", "seed": None}]
    flow = batches.submit_many(stage.calls, items)
    task, refusal = stage.play(flow, results(accepted("one"), refused("parameters_rejected", 422))).result
    assert isinstance(task, Task)
    assert isinstance(refusal, ParametersRejectedError)
    assert task.id == "one"
    assert refusal.complaints[0].at == "/steps"
    ((first, second),) = sent(stage)
    assert (first["prompt"], first["steps"]) == ("a", 4)
    assert set(second) == {"prompt", "idempotency_key"}
    assert first["idempotency_key"] != second["idempotency_key"]


def test_what_may_be_over_soon_is_tried_again_alone_and_with_its_key(stage: Stage) -> None:
    flow = batches.submit_many(stage.calls, [{"prompt": "a"}, {"prompt": "b", "idempotency_key": "k"}])
    stage.play(
        flow,
        results(accepted("one"), refused("quota_exceeded", 429, wait=7, retryable=True)),
        results(accepted("two")),
    )
    assert [task.id for task in stage.played.result] == ["one", "two"]
    assert stage.played.pauses == [7.0]
    assert sent(stage)[1] == [{"prompt": "b", "idempotency_key": "k"}]


def test_what_is_not_over_in_time_is_the_outcome(stage: Stage) -> None:
    full = results(refused("queue_full", 429, wait=3_600, retryable=True))
    (outcome,) = stage.play(batches.submit_many(stage.calls, [{"prompt": "a"}]), full).result
    assert isinstance(outcome, TooManyRequestsError)
    assert outcome.retry_after_seconds == 3_600
    assert stage.played.pauses == []


def test_a_lost_answer_is_asked_for_again_with_the_same_keys(stage: Stage) -> None:
    flow = batches.submit_many(stage.calls, [{"prompt": "a"}])
    stage.play(flow, httpx.ReadTimeout("nothing came"), results(accepted("one")))
    first, second = sent(stage)
    assert first == second


def test_more_than_one_call_takes_are_sent_in_several_and_a_lost_one_harms_no_other(stage: Stage) -> None:
    count = batches.MOST_AT_ONCE + 5
    flow = batches.submit_many(stage.calls, [{"prompt": str(number)} for number in range(count)])
    first = results(*(accepted(str(number)) for number in range(batches.MOST_AT_ONCE)))
    outcomes = stage.play(flow, first, *[httpx.ConnectError("nobody")] * 5).result
    assert [task.id for task in outcomes[:-5]] == [str(number) for number in range(batches.MOST_AT_ONCE)]
    assert all(isinstance(outcome, UnreachableError) for outcome in outcomes[-5:])


def test_a_call_that_failed_as_a_whole_was_tried_often_enough(stage: Stage) -> None:
    away = [problem("dependency_unavailable", 503, retryable=True) for _ in range(5)]
    (outcome,) = stage.play(batches.submit_many(stage.calls, [{"prompt": "a"}]), *away).result
    assert isinstance(outcome, UnavailableError)


def test_of_nothing_comes_nothing(stage: Stage) -> None:
    assert stage.play(batches.submit_many(stage.calls, [])).result == ()


def test_a_key_that_cannot_be_right_is_refused_before_anything_is_sent(stage: Stage) -> None:
    with pytest.raises(ConfigurationError):
        stage.play(batches.submit_many(stage.calls, [{"prompt": "a", "idempotency_key": "é"}]))
    assert not stage.played.requests


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"steps": 1}, "submission 1 (from 0): /prompt: is required"),
        (
            {"prompt": "a", "guidance_scale": float("nan")},
            "submission 1 (from 0): /guidance_scale: must be a finite",
        ),
        ({"prompt": "a", "idempotency_key": b"k"}, "submission 1 (from 0): an Idempotency-Key is"),
    ],
)
def test_a_submission_that_cannot_be_right_is_named_before_anything_is_sent(
    stage: Stage, second: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        stage.play(batches.submit_many(stage.calls, [{"prompt": "a"}, second]))
    assert not stage.played.requests


def test_an_unknown_outcome_is_resolved_with_the_same_key(stage: Stage) -> None:
    unknown = refused("dependency_unavailable", 503, wait=2, retryable=True)
    unknown["problem"]["task_id"] = "one"
    stage.play(
        batches.submit_many(stage.calls, [{"prompt": "a"}, {"prompt": "b"}]),
        results(unknown, accepted("two")),
        results(accepted("one")),
    )
    assert [task.id for task in stage.played.result] == ["one", "two"]
    first, again = sent(stage)
    assert again == first[:1]


def test_the_client_knows_the_apis_limit_and_fields() -> None:
    assert batches.MOST_AT_ONCE == MAX_BATCH_ITEMS
    assert {*Submission.__annotations__, *SubmissionFields.__annotations__} == set(BatchItem.model_fields)
