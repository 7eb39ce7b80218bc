"""POST /v1/tasks:batch: each item by itself, and all of them together."""

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.models.lora import MAX_LORAS
from common.domain.task import Lane
from frontend_api.batches.schemas import MAX_BATCH_ITEMS, MAX_BATCH_VALUES, BatchItem
from frontend_api.batches.submit_batch import MAX_COUNTED_CHARACTERS
from frontend_api.http.json_body import MAX_BODY_BYTES, parse_json_object
from frontend_api.quotas.limits import QuotaLimits
from frontend_api.tasks.changes import MAX_LABELS
from frontend_api.webhooks.callback_headers import MAX_HEADERS
from tests.unit.frontend_api.conftest import Api

CIRCLE = {"prompt": "a large red circle"}


def submit(api: Api, *items: Any, **headers: str) -> TestResponse:
    return api.client.post("/v1/tasks:batch", json={"tasks": list(items)}, headers=headers)


def statuses(answer: TestResponse) -> list[tuple[int, str | None]]:
    """Return status and code, if any, of each result."""
    assert answer.status_code == 200, answer.text
    results = answer.get_json()["results"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return [(result["status"], result["problem"] and result["problem"]["code"]) for result in results]


def test_batch_stores_publishes_and_confirms_its_tasks(api: Api) -> None:
    answer = submit(api, {**CIRCLE, "seed": 1}, {**CIRCLE, "lane": "batch"})
    assert statuses(answer) == [(202, None), (202, None)]
    first, second = (api.stored(result["task"]["id"]) for result in answer.get_json()["results"])
    assert (first.parameters.seed, second.lane, first.user_id) == (1, Lane.BATCH, "local")
    assert first.enqueued_at == second.enqueued_at == api.clock.now()
    assert [task.id for task in api.queue.published] == [first.id, second.id]
    alone = api.client.get(f"/v1/tasks/{first.id}").get_json()
    assert answer.get_json()["results"][0]["task"] == alone


def test_batch_of_a_hundred_makes_as_many_store_calls_as_one(api: Api) -> None:
    submit(api, CIRCLE)
    calls_of_one = api.batches.calls
    assert statuses(submit(api, *[CIRCLE] * 100)) == [(202, None)] * 100
    assert api.batches.calls == 2 * calls_of_one
    assert len(api.store.all_tasks) == 101


def test_batch_counts_each_prompt_once_and_not_without_end(api: Api) -> None:
    longest = ["word " * 400, "text " * 400, "case " * 400, "line " * 400, "name " * 400, "rest " * 400]
    tasks = [{"prompt": prompt} for prompt in [*longest, *longest]]
    results = submit(api, *tasks).get_json()["results"]
    warned = [bool(result["task"]["warnings"]) for result in results]
    assert warned == [*[True] * 5, False] * 2
    assert sum(map(len, longest[:5])) == MAX_COUNTED_CHARACTERS


def test_batch_reports_each_invalid_item_and_accepts_the_others(api: Api) -> None:
    answer = submit(api, {"steps": 5}, CIRCLE, {**CIRCLE, "steps": 5_000}, {**CIRCLE, "model": "none"}, 7)
    expected = "parameters_rejected", None, "parameters_rejected", "unknown_model", "parameters_rejected"
    assert [code for _, code in statuses(answer)] == list(expected)
    body = answer.get_json()
    problems = [result["problem"] for result in body["results"]]
    assert [problem and problem["errors"][0]["pointer"] for problem in problems] == [
        "/prompt", None, "/steps", "/model", "",
    ]  # fmt: skip
    assert (body["accepted"], body["replayed"], body["refused"]) == (1, 0, 4)
    assert len(api.store.all_tasks) == len(api.queue.published) == 1


def test_repeated_batch_creates_no_second_task_for_items_with_keys(api: Api) -> None:
    items = [{**CIRCLE, "seed": seed, "idempotency_key": f"order-{seed}"} for seed in range(5)]
    first, second = submit(api, *items), submit(api, *items)
    assert (statuses(first), statuses(second)) == ([(202, None)] * 5, [(200, None)] * 5)
    assert [r["task"] for r in first.get_json()["results"]] == [
        r["task"] for r in second.get_json()["results"]
    ]
    assert len(api.store.all_tasks) == len(api.queue.published) == 5


def test_item_key_equals_the_header_of_a_single_submission(api: Api) -> None:
    alone = api.client.post("/v1/tasks", json=CIRCLE, headers={"Idempotency-Key": "order-1"}).get_json()
    (result,) = submit(api, {**CIRCLE, "idempotency_key": "order-1"}).get_json()["results"]
    assert (result["status"], result["task"]) == (200, alone)


def test_same_key_twice_in_a_batch_is_one_task_or_refused(api: Api) -> None:
    one = {**CIRCLE, "idempotency_key": "order-1"}
    answer = submit(api, one, one, {**one, "seed": 7})
    assert statuses(answer) == [(202, None), (200, None), (422, "idempotency_key_reused")]
    assert answer.get_json()["results"][2]["problem"]["errors"][0]["pointer"] == "/idempotency_key"
    assert len(api.store.all_tasks) == len(api.queue.published) == 1


def test_batch_refuses_items_beyond_the_quota_but_no_replays(api: Api) -> None:
    api = Api(folder=api.folder, quota_limits=QuotaLimits(active_tasks=3))
    keyed = [{**CIRCLE, "seed": seed, "idempotency_key": f"order-{seed}"} for seed in range(3)]
    answer = submit(api, *keyed, CIRCLE, CIRCLE)
    assert statuses(answer) == [(202, None)] * 3 + [(429, "quota_exceeded")] * 2
    assert answer.get_json()["results"][4]["retry_after_seconds"] == 10
    assert statuses(submit(api, *keyed, CIRCLE)) == [(200, None)] * 3 + [(429, "quota_exceeded")]
    assert len(api.store.all_tasks) == 3


def test_refused_items_do_not_count_as_submissions(api: Api) -> None:
    api = Api(folder=api.folder, quota_limits=QuotaLimits(submissions_per_minute=2))
    assert statuses(submit(api, {"steps": 1}, {"steps": 2}, CIRCLE)).count((202, None)) == 1
    assert statuses(submit(api, CIRCLE, CIRCLE)) == [(202, None), (429, "quota_exceeded")]


def test_each_task_of_a_batch_counts_as_a_request(tmp_path: Path) -> None:
    """Replays, too, which no limit of submissions counts: each is read, and its position counted."""
    api = Api(folder=tmp_path, requests_per_minute=5)
    items = [{**CIRCLE, "idempotency_key": f"key-{number}"} for number in range(3)]
    assert statuses(submit(api, *items)) == [(202, None)] * 3
    refused = submit(api, *items)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    api.clock.advance(60)
    assert statuses(submit(api, *items)) == [(200, None)] * 3


def test_batch_keeps_its_tasks_when_pubsub_is_unavailable(api: Api) -> None:
    api.queue.unavailable = True
    items = [{**CIRCLE, "idempotency_key": f"order-{number}"} for number in range(2)]
    lost = submit(api, *items)
    assert statuses(lost) == [(503, "dependency_unavailable")] * 2
    results = lost.get_json()["results"]
    assert all(result["retry_after_seconds"] >= 1 for result in results)
    api.queue.unavailable = False
    again = submit(api, *items)
    assert statuses(again) == [(200, None)] * 2
    named = [result["problem"]["task_id"] for result in results]
    assert [task.id for task in api.queue.published] == named
    assert all(api.stored(task_id).enqueued_at is not None for task_id in named)


@pytest.mark.parametrize("keys", [True, False])
def test_batch_reports_unknown_outcomes_when_the_store_times_out(api: Api, keys: bool) -> None:
    items = [
        {**CIRCLE, "seed": seed} | ({"idempotency_key": f"k{seed}"} if keys else {}) for seed in range(60)
    ]
    api.store.loses_answers = True
    body = submit(api, *items, {"steps": 1}).get_json()
    assert (body["accepted"], body["replayed"], body["refused"], body["unknown"]) == (0, 0, 1, 60)
    unknown, (refused,) = body["results"][:60], body["results"][60:]
    assert {result["outcome"] for result in unknown} == {"unknown"}
    assert [result["task_id"] for result in unknown] == [task.id for task in api.store.all_tasks]
    assert all(result["task_id"] == result["problem"]["task_id"] for result in unknown)
    assert (refused["outcome"], refused["task_id"]) == ("refused", None)
    if keys:
        api.store.loses_answers = False
        again = submit(api, *items).get_json()
        assert (again["replayed"], len(api.store.all_tasks), len(api.queue.published)) == (60, 60, 60)
        assert [result["task_id"] for result in again["results"]] == [r["task_id"] for r in unknown]


def test_batch_reports_outcome_and_id_of_each_item(api: Api) -> None:
    keyed = {**CIRCLE, "idempotency_key": "order-1"}
    submit(api, keyed)
    results = submit(api, CIRCLE, keyed, {**CIRCLE, "steps": 0}).get_json()["results"]
    assert [result["outcome"] for result in results] == ["accepted", "replayed", "refused"]
    assert [result["task_id"] for result in results] == [
        results[0]["task"]["id"], results[1]["task"]["id"], None,
    ]  # fmt: skip


def test_batch_reports_replays_as_unknown_when_they_cannot_be_read(api: Api) -> None:
    keyed = {**CIRCLE, "idempotency_key": "order-1"}
    first = submit(api, keyed).get_json()["results"][0]["task_id"]
    api.store.unavailable = True
    (result,) = submit(api, keyed).get_json()["results"]
    assert (result["outcome"], result["task_id"]) == ("unknown", first)


def test_batch_publishes_nothing_when_firestore_is_unavailable(api: Api) -> None:
    api.store.unavailable = True
    assert statuses(submit(api, CIRCLE, CIRCLE)) == [(503, "dependency_unavailable")] * 2
    assert not api.queue.published


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({}, "/tasks", "is required"),
        ({"tasks": []}, "/tasks", "must have at least 1 entries"),
        ({"tasks": [CIRCLE] * 101}, "/tasks", "must have at most 100 entries"),
        ({"tasks": CIRCLE}, "/tasks", "must be an array"),
        ({"tasks": [CIRCLE], "lane": "batch"}, "/lane", "is not a known field"),
    ],
)
def test_batch_is_refused_when_its_body_is_invalid(
    api: Api, body: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = api.client.post("/v1/tasks:batch", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "parameters_rejected")
    assert answer.get_json()["errors"] == [{"pointer": pointer, "detail": detail}]
    assert api.has_taken_nothing()


def test_batch_refuses_the_idempotency_key_header(api: Api) -> None:
    answer = submit(api, CIRCLE, **{"Idempotency-Key": "order-1"})
    (complaint,) = answer.get_json()["errors"]
    assert (answer.status_code, complaint["header"]) == (422, "Idempotency-Key")
    assert "idempotency_key" in complaint["detail"]
    assert api.has_taken_nothing()


def test_batch_accepts_the_longest_prompts_and_no_more_bytes(api: Api) -> None:
    longest = {"prompt": "🔴" * 2_000, "negative_prompt": "🔴" * 2_000}
    answer = api.client.post(
        "/v1/tasks:batch",
        data='{"tasks": [' + ",".join(['{"prompt": "%s"}' % ("🔴" * 2_000)] * 100) + "]}",
        content_type="application/json",
    )
    assert statuses(answer) == [(202, None)] * 100
    assert statuses(submit(api, longest)) == [(202, None)]
    too_large = api.client.post(
        "/v1/tasks:batch", data=b" " * (MAX_BODY_BYTES + 1), content_type="application/json"
    )
    assert (too_large.status_code, too_large.get_json()["code"]) == (413, "body_too_large")


def test_batch_may_contain_every_field_of_a_hundred_submissions() -> None:
    lists = {
        "labels": {f"label-{number}": "x" for number in range(MAX_LABELS)},
        "callback_events": ["started", "progress", "finished"],
        "callback_headers": {f"X-{number}": "x" for number in range(MAX_HEADERS)},
        "loras": [{"name": f"lora-{number}", "scale": 1} for number in range(MAX_LORAS)],
    }
    item = dict.fromkeys(BatchItem.model_fields, "x") | lists
    body = json.dumps({"tasks": [item] * MAX_BATCH_ITEMS}).encode()
    assert len(parse_json_object(body, max_values=MAX_BATCH_VALUES)["tasks"]) == MAX_BATCH_ITEMS
