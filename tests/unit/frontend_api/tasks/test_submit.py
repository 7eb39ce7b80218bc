"""POST /v1/tasks: stored, published, recorded, answered; and the state after a failed step."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.spec import ModelSpec
from common.domain.task import Lane, Task, TaskStatus
from common.wire_formats.task_document import encode_task_document
from frontend_api.http.requests import provide
from frontend_api.quotas.limits import QuotaLimits
from tests.unit.frontend_api.conftest import Api

KEY = {"Idempotency-Key": "order-66"}


def submit_keyed(api: Api, **changes: object) -> TestResponse:
    return api.client.post("/v1/tasks", json={"prompt": "a circle", **changes}, headers=KEY)


def test_submission_stores_publishes_and_confirms_the_task(api: Api) -> None:
    answer = api.submit(steps=7, labels={"team": "pictures"}, lane="batch", deadline_seconds=60)
    assert answer.status_code == 202
    body = answer.get_json()
    assert answer.headers["Location"] == body["urls"]["self"] == f"/v1/tasks/{body['id']}"
    task = api.stored(body["id"])
    assert (task.user_id, task.status, task.lane) == ("local", TaskStatus.QUEUED, Lane.BATCH)
    assert (task.parameters.steps, task.labels) == (7, {"team": "pictures"})
    assert task.start_by == task.created_at + timedelta(seconds=60)
    assert task.enqueued_at == api.clock.now()
    assert [published.id for published in api.queue.published] == [task.id]


def test_submission_returns_every_field(api: Api) -> None:
    body = api.submit().get_json()
    assert set(body) == {
        "id", "status", "model", "parameters", "labels", "lane", "created_at", "started_at", "finished_at",
        "expires_at", "start_by", "cancel_requested_at", "attempt", "history", "queue_position", "eta", "model_served",
        "progress", "images", "previews", "failed_images", "failure", "warnings", "callback_url", "callback_events",
        "callback_headers", "metrics", "cost", "urls",
    }  # fmt: skip
    assert body["progress"] == {"phase": "waiting", "value": 0.0, "step": 0, "steps": 20, "images": []}
    assert body["parameters"]["sampler"] == "ddim"
    assert body["created_at"] == "2026-01-01T12:00:00Z"


def test_submission_draws_a_seed_that_browsers_can_represent(api: Api) -> None:
    seeds = {api.submit().get_json()["parameters"]["seed"] for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_null_selects_the_default(api: Api) -> None:
    body = api.submit(steps=None, sampler=None, seed=None, model=None, negative_prompt=None).get_json()
    assert body["parameters"]["steps"] == 20


@pytest.mark.parametrize("prompt", ["赤い丸 🔴", "a" * 2_000, 'quotes " and \\ and </script>', "two\nlines"])
def test_prompt_may_be_any_text(api: Api, prompt: str) -> None:
    body = api.submit(prompt=prompt).get_json()
    assert api.stored(body["id"]).parameters.prompt == prompt


def test_submission_keeps_the_task_when_pubsub_is_unavailable(api: Api) -> None:
    api.queue.unavailable = True
    answer = api.submit()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    problem = answer.get_json()
    assert (problem["code"], problem["retryable"]) == ("dependency_unavailable", True)
    task = api.stored(problem["task_id"])
    assert (task.status, task.enqueued_at) == (TaskStatus.QUEUED, None)


def test_submission_publishes_nothing_when_firestore_is_unavailable(api: Api) -> None:
    api.store.unavailable = True
    answer = api.submit()
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert not api.queue.published


def test_replay_finds_the_task_when_the_first_outcome_was_unknown(api: Api) -> None:
    api.store.loses_answers = True
    lost = submit_keyed(api)
    problem = lost.get_json()
    assert (lost.status_code, problem["code"], problem["retryable"]) == (503, "dependency_unavailable", True)
    assert [task.id for task in api.store.all_tasks] == [problem["task_id"]]
    api.store.loses_answers = False
    again = submit_keyed(api)
    assert (again.status_code, again.get_json()["id"]) == (200, problem["task_id"])
    assert [task.id for task in api.queue.published] == [problem["task_id"]]


def test_replay_names_the_task_when_it_cannot_be_read(api: Api) -> None:
    first = submit_keyed(api).get_json()
    api.store.unavailable = True
    again = submit_keyed(api)
    assert (again.status_code, again.get_json()["task_id"]) == (503, first["id"])


def test_submission_succeeds_when_the_confirmation_cannot_be_stored(api: Api) -> None:
    publish = api.queue.publish

    def publish_then_lose_firestore(*tasks: Task) -> None:
        publish(*tasks)
        api.store.unavailable = True

    api.queue.publish = publish_then_lose_firestore  # type: ignore[method-assign]
    assert api.submit().status_code == 202


def test_replay_returns_the_first_task(api: Api) -> None:
    first = submit_keyed(api)
    api.clock.advance(60)
    second = submit_keyed(api)
    assert (first.status_code, second.status_code) == (202, 200)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert first.get_json() == second.get_json()
    assert len(api.store.all_tasks) == len(api.queue.published) == 1


@pytest.mark.parametrize(
    "change", [{"prompt": "a blue square"}, {"seed": 1}, {"lane": "batch"}, {"labels": {"a": "b"}}]
)
def test_submission_is_refused_when_its_key_has_another_request(api: Api, change: dict[str, object]) -> None:
    submit_keyed(api, deadline_seconds=60)
    answer = submit_keyed(api, deadline_seconds=60, **change)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.store.all_tasks) == len(api.queue.published) == 1


def with_catalog(api: Api, spec: ModelSpec) -> None:
    """Have the API offer this model only, as after a release."""
    catalog = ModelCatalog(models=(spec,))
    submit = replace(api.dependencies.tasks.submit, catalog=catalog)
    tasks = replace(api.dependencies.tasks, submit=submit)
    batches = api.dependencies.batches
    batches = replace(batches, submit=replace(batches.submit, submit_task=submit))
    provide(api.app, replace(api.dependencies, tasks=tasks, batches=batches))


OTHER_DEFAULTS = DEMO_MODEL.model_copy(update={"defaults": ModelDefaults(steps=30, width=128, height=128)})
LOWER_LIMITS = DEMO_MODEL.model_copy(update={"limits": ModelLimits(max_side=512, max_steps=30)})
OTHER_NAME = DEMO_MODEL.model_copy(update={"name": "other"})


@pytest.mark.parametrize(
    ("spec", "fields"),
    [(OTHER_DEFAULTS, {}), (LOWER_LIMITS, {"steps": 50}), (OTHER_NAME, {"model": "demo"})],
)
def test_replay_returns_the_first_task_after_the_catalog_changed(
    api: Api, spec: ModelSpec, fields: dict[str, object]
) -> None:
    body = {"prompt": "a circle", **fields}
    first = api.client.post("/v1/tasks", json=body, headers=KEY).get_json()
    with_catalog(api, spec)
    again = api.client.post("/v1/tasks", json=body, headers=KEY)
    assert (again.status_code, again.get_json()["id"]) == (200, first["id"])
    item = {**body, "idempotency_key": KEY["Idempotency-Key"]}
    (result,) = api.client.post("/v1/tasks:batch", json={"tasks": [item]}).get_json()["results"]
    assert (result["status"], result["task_id"]) == (200, first["id"])
    assert len(api.store.all_tasks) == len(api.queue.published) == 1


def test_key_of_another_request_is_refused_after_the_catalog_changed(api: Api) -> None:
    submit_keyed(api, steps=50)
    with_catalog(api, LOWER_LIMITS)
    refused = submit_keyed(api, steps=60)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "parameters_rejected")
    assert submit_keyed(api, steps=5).get_json()["code"] == "idempotency_key_reused"


def test_default_value_is_the_same_request_as_no_value(api: Api) -> None:
    first = submit_keyed(api).get_json()
    again = submit_keyed(api, steps=20, model="demo")
    assert (again.status_code, again.get_json()["id"]) == (200, first["id"])


def test_replay_publishes_a_task_that_was_never_confirmed(api: Api) -> None:
    api.queue.unavailable = True
    lost = submit_keyed(api)
    api.queue.unavailable = False
    replayed = submit_keyed(api)
    assert (lost.status_code, replayed.status_code) == (503, 200)
    assert replayed.get_json()["id"] == lost.get_json()["task_id"]
    assert len(api.queue.published) == 1
    assert api.stored(replayed.get_json()["id"]).enqueued_at is not None


def test_replay_of_a_finished_task_publishes_nothing(api: Api) -> None:
    task_id = submit_keyed(api).get_json()["id"]
    api.client.post(f"/v1/tasks/{task_id}/cancel")
    replayed = submit_keyed(api)
    assert replayed.get_json()["status"] == "cancelled"
    assert len(api.queue.published) == 1


def test_concurrent_submissions_with_one_key_create_one_task(api: Api) -> None:
    def post(_: int) -> tuple[int, str]:
        answer = api.app.test_client().post("/v1/tasks", json={"prompt": "a circle"}, headers=KEY)
        return answer.status_code, answer.get_json()["id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(48)))
    assert [status for status, _ in answers].count(202) == 1
    assert {status for status, _ in answers} == {200, 202}
    assert len({task_id for _, task_id in answers}) == 1
    assert len(api.store.all_tasks) == 1
    assert {task.id for task in api.queue.published} == {answers[0][1]}


def test_submission_reads_no_workload_when_the_quota_is_exceeded(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, quota_limits=QuotaLimits(active_tasks=1))
    body = {"prompt": "a large red circle"}
    assert api.submit().status_code == 202
    api.clock.advance(5)
    lists_read, statuses_read = api.stats.calls["active"], api.stats.calls["statuses"]
    assert api.submit().status_code == 429
    batch = api.client.post("/v1/tasks:batch", json={"tasks": [body, body]}).get_json()
    assert [result["problem"]["code"] for result in batch["results"]] == ["quota_exceeded"] * 2
    assert (api.stats.calls["active"], api.stats.calls["statuses"]) == (lists_read, statuses_read)


@pytest.mark.parametrize("seed", [9_007_199_254_740_993, "9007199254740993", "0009007199254740993"])
def test_seed_may_be_text_and_is_returned_as_text(api: Api, seed: object) -> None:
    task = api.submit(seed=seed).get_json()
    assert (task["parameters"]["seed"], task["parameters"]["seed_text"]) == (2**53 + 1, "9007199254740993")
    assert api.stored(task["id"]).parameters.seed == 2**53 + 1


@pytest.mark.parametrize("seed", ["", "-1", " 7", "7.0", "1e3", "0x7", "99999999999999999999", "٧", True])
def test_other_text_is_no_seed(api: Api, seed: object) -> None:
    answer = api.submit(seed=seed)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/seed")


def test_seed_as_text_or_number_is_the_same_request(api: Api) -> None:
    first, second = (
        api.client.post("/v1/tasks", json={"prompt": "a", "seed": seed}, headers={"Idempotency-Key": "1"})
        for seed in (7, "7")
    )
    assert (first.status_code, second.status_code) == (202, 200)


def test_stored_parameters_contain_no_seed_text(api: Api) -> None:
    task_id = api.submit(seed="7").get_json()["id"]
    assert "seed_text" not in encode_task_document(api.stored(task_id))["parameters"]
