"""Quotas of GPU seconds: of a caller's active tasks, and per day."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.models.catalog import DEMO_MODEL, EMBEDDED_CATALOG, ModelCatalog
from common.domain.task import Failure, Task
from common.domain.worker_report import ModelTimes
from frontend_api.quotas.limits import QuotaLimits
from tests.factories import claim_of, parameters, spent, worker_report
from tests.unit.frontend_api.conftest import Api, signed_in_as

BOB = signed_in_as("bob")
TASK_SECONDS = 10.0
"""The prediction for a task of `submit`."""
NOON = 12 * 3_600
"""The tests begin at noon."""


def limited(folder: Path, *, catalog: ModelCatalog = EMBEDDED_CATALOG, **limits: int) -> Api:
    """Return an API whose worker needs ten seconds for a task of `submit`."""
    api = Api(folder=folder, catalog=catalog, quota_limits=QuotaLimits(**limits))
    per_unit = TASK_SECONDS / parameters().work_units
    pace = ModelTimes(model="demo", gpu_seconds_per_unit=per_unit, sizes=())
    alive_until = api.clock.now() + timedelta(days=30)
    api.reports.publish(worker_report(times=(pace,), alive_until=alive_until))
    return api


def submit(api: Api, images: int = 1, headers: dict[str, str] | None = None) -> TestResponse:
    body = {"prompt": "a circle", "guidance_scale": 4.0, "num_images": images}
    return api.client.post("/v1/tasks", json=body, headers=headers)


def accepted(api: Api, images: int = 1) -> Task:
    answer = submit(api, images)
    assert answer.status_code == 202
    return api.stored(answer.get_json()["id"])


def refusal(answer: TestResponse) -> tuple[int, str, int]:
    body = answer.get_json()
    return answer.status_code, body["code"], int(answer.headers["Retry-After"])


def generate(api: Api, task: Task, seconds: float) -> None:
    """Have a worker complete the task after this many GPU seconds."""
    claimed = api.claim(task)
    usage = replace(claimed.usage, gpu_seconds=(claimed.usage.gpu_seconds or 0.0) + seconds)
    api.store.update(task.id, lambda t: replace(t.completed(claim_of(t), (), api.clock.now()), usage=usage))


def fail(api: Api, task: Task, seconds: float) -> None:
    """Have a worker fail the task after this many GPU seconds."""
    api.claim(task)
    failure = Failure(code="invalid_output", message="no image")
    api.store.update(
        task.id, lambda t: t.failed(claim_of(t), failure, api.clock.now(), output=spent(seconds))
    )


def use_of(api: Api, name: str) -> dict[str, Any]:
    api.clock.advance(1)
    quotas = api.client.get("/v1/usage").get_json()["quotas"]
    return next(quota for quota in quotas if quota["name"] == name)


def test_submission_is_rejected_at_the_limit_of_active_gpu_seconds(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=50)
    first, *_ = (accepted(api, images=2) for _ in range(2))
    refused = submit(api, images=2)
    assert refusal(refused) == (429, "quota_exceeded", 10)
    assert refused.get_json()["detail"] == (
        "the queued and processing tasks of one caller may need at most 50 GPU seconds; "
        "they need about 40, and this task about 20 more"
    )
    assert submit(api).status_code == 202
    assert submit(api, headers=BOB).status_code == 202
    api.client.post(f"/v1/tasks/{first.id}/cancel")
    api.clock.advance(1)
    assert submit(api, images=2).status_code == 202


def test_retry_after_grows_with_the_missing_gpu_seconds(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=60)
    for _ in range(6):
        accepted(api)
    assert refusal(submit(api, images=4)) == (429, "quota_exceeded", 40)


def test_one_large_task_is_accepted_while_no_other_counts(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=15, daily_gpu_seconds=15)
    accepted(api, images=4)
    assert refusal(submit(api))[:2] == (429, "quota_exceeded")


@pytest.mark.parametrize("side", [128, 512])
def test_sizes_need_equal_gpu_seconds_of_a_model_with_own_sizes(tmp_path: Path, side: int) -> None:
    """It generates all images in the same size, and resizes them to the requested one."""
    own_sizes = DEMO_MODEL.model_copy(update={"family": "sana"})
    api = limited(tmp_path, catalog=ModelCatalog(models=(own_sizes,)), active_gpu_seconds=1_000)
    body = {"prompt": "a circle", "guidance_scale": 4.0, "num_images": 2, "width": side, "height": side}
    assert api.client.post("/v1/tasks", json=body).status_code == 202
    assert use_of(api, "active-gpu-seconds")["used"] == pytest.approx(2 * TASK_SECONDS)


def test_tasks_of_an_unmeasured_model_take_no_gpu_seconds(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, quota_limits=QuotaLimits(active_gpu_seconds=1, daily_gpu_seconds=1))
    assert [submit(api).status_code for _ in range(3)] == [202] * 3


def test_batch_is_accepted_up_to_the_gpu_seconds_that_are_left(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=35, active_tasks=10)
    item = {"prompt": "a circle", "guidance_scale": 4.0}
    answer = api.client.post("/v1/tasks:batch", json={"tasks": [item] * 5}).get_json()
    assert [result["status"] for result in answer["results"]] == [202] * 3 + [429] * 2
    assert answer["results"][4]["problem"]["code"] == "quota_exceeded"
    assert (use_of(api, "active-tasks")["used"], use_of(api, "active-gpu-seconds")["used"]) == (3, 30)


def test_budget_counts_active_tasks_and_then_what_they_used(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=100)
    task = accepted(api, images=4)
    assert use_of(api, "daily-gpu-seconds")["used"] == 40
    generate(api, task, seconds=95)
    assert use_of(api, "daily-gpu-seconds") == {
        "name": "daily-gpu-seconds",
        "limit": 100,
        "used": 95,
        "remaining": 5,
        "resets_in_seconds": NOON - 2,
    }
    refused = submit(api)
    assert refusal(refused) == (429, "quota_exceeded", NOON - 2)
    assert refused.get_json()["detail"] == (
        "one caller may use at most 100 GPU seconds per day in UTC; about 95 are used or needed by active "
        "tasks, and this task needs about 10 more"
    )
    assert submit(api, headers=BOB).status_code == 202


def test_budget_starts_again_at_midnight_in_utc(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=100)
    generate(api, accepted(api), seconds=100)
    api.clock.advance(NOON - 1)
    assert refusal(submit(api)) == (429, "quota_exceeded", 1)
    api.clock.advance(1)
    assert submit(api).status_code == 202
    assert use_of(api, "daily-gpu-seconds")["used"] == 10


def test_cancelled_task_counts_what_it_used(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=100)
    queued, running = accepted(api), accepted(api)
    api.client.post(f"/v1/tasks/{queued.id}/cancel")
    assert use_of(api, "daily-gpu-seconds")["used"] == 10
    api.claim(running)
    api.client.post(f"/v1/tasks/{running.id}/cancel")
    api.store.update(
        running.id, lambda t: t.cancelled_by_holder(claim_of(t), api.clock.now(), output=spent(3.0))
    )
    assert use_of(api, "daily-gpu-seconds")["used"] == 3


def test_deleted_task_counts_what_it_used(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=100)
    task = accepted(api)
    generate(api, task, seconds=95)
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    api.clock.advance(61)
    assert submit(api).status_code == 429


def test_retry_counts_in_addition_to_the_earlier_attempts(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=60, active_gpu_seconds=1_000)
    task = accepted(api, images=2)
    fail(api, task, seconds=15.0)
    api.clock.advance(1)
    assert api.client.post(f"/v1/tasks/{task.id}/retry").status_code == 202
    assert use_of(api, "daily-gpu-seconds")["used"] == 35
    fail(api, task, seconds=30.0)
    assert use_of(api, "daily-gpu-seconds")["used"] == 45
    assert refusal(api.client.post(f"/v1/tasks/{task.id}/retry"))[:2] == (429, "quota_exceeded")
    assert api.stored(task.id).status == "failed"


def test_operators_replay_counts_and_is_not_refused(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=15)
    task = accepted(api)
    fail(api, task, seconds=1.0)
    api.clock.advance(1)
    accepted(api)
    assert api.dependencies.dead_letters.replay.retry_task("local", task.id).status == "queued"
    assert use_of(api, "active-gpu-seconds")["used"] == 20


def test_replayed_submission_takes_no_gpu_seconds(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=100)
    body, key = {"prompt": "a circle", "guidance_scale": 4.0}, {"Idempotency-Key": "order-1815"}
    answers = [api.client.post("/v1/tasks", json=body, headers=key) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 200, 200, 200, 200]
    assert 'active-gpu-seconds";r=90' in answers[-1].headers["RateLimit"]


def test_gpu_seconds_are_in_the_rate_limit_headers(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=50, daily_gpu_seconds=100)
    headers = submit(api).headers
    assert headers["RateLimit-Policy"] == (
        '"active-gpu-seconds";q=50;qu="gpu-seconds", "daily-gpu-seconds";q=100;qu="gpu-seconds";w=86400'
    )
    assert headers["RateLimit"] == f'"active-gpu-seconds";r=40, "daily-gpu-seconds";r=90;t={NOON}'


def test_gpu_seconds_are_counted_once_a_minute_while_they_suffice(tmp_path: Path) -> None:
    api = limited(tmp_path, active_gpu_seconds=100_000)
    for _ in range(30):
        accepted(api)
        api.clock.advance(2)
    assert api.stats.calls["work_of"] == 1
    accepted(api)
    assert api.stats.calls["work_of"] == 2


def test_submission_returns_503_when_gpu_seconds_cannot_be_counted(tmp_path: Path) -> None:
    api = limited(tmp_path, daily_gpu_seconds=100)
    api.usage_book.unavailable = True
    refused = submit(api)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")


def test_quotas_are_empty_without_limits(api: Api) -> None:
    assert api.client.get("/v1/usage").get_json()["quotas"] == []
