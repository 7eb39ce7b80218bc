"""The queue's state and the cost of tasks, as callers see them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.domain.task import Usage
from common.domain.worker_report import ModelTimes
from frontend_api.usage.usage import GpuPrice
from tests.factories import claim_of, worker_report
from tests.unit.frontend_api.conftest import Api

DAY_SECONDS = 86_400


def end_one(api: Api, *, useful: float, wasted: float = 0.0, user_id: str = "local") -> None:
    task = api.claimed_task(task_id=f"task-{len(api.store.all_tasks)}", user_id=user_id)
    usage = Usage(inference_seconds=useful, gpu_seconds=useful, wasted_gpu_seconds=wasted)
    api.store.update(task.id, lambda t: replace(t.completed(claim_of(t), (), api.clock.now()), usage=usage))


def queue(api: Api) -> Any:
    return api.client.get("/v1/queue").get_json()


def usage(api: Api, **asked: str) -> Any:
    return api.client.get("/v1/usage", query_string=asked).get_json()


def test_queue_is_returned_in_total_and_per_model(api: Api) -> None:
    for user_id in ("ada", "bob"):
        api.stored_task(task_id=f"of-{user_id}", user_id=user_id)
        api.clock.advance(30)
    for _ in range(10):
        end_one(api, useful=1.0)
    api.claimed_task(task_id="drawn", user_id="carol")
    line = {
        "queued": 2, "oldest_seconds": 60.0, "processing": 1, "completed_per_minute": 2.0,
        "backlog_gpu_seconds": None, "workers": 0,
    }  # fmt: skip
    assert queue(api) == {
        **line,
        "as_of": "2026-01-01T12:01:00Z",
        "dead_letters": 0,
        "unserved_models": ["demo"],
        "models": [{"model": "demo", **line}],
    }


def test_empty_queue_has_no_oldest_task(api: Api) -> None:
    body = queue(api)
    assert (body["queued"], body["oldest_seconds"], body["completed_per_minute"]) == (0, None, 0.0)
    assert (body["backlog_gpu_seconds"], body["workers"]) == (0.0, 0)


def test_backlog_is_returned_in_gpu_seconds(api: Api) -> None:
    pace = ModelTimes(model="demo", gpu_seconds_per_unit=0.5, sizes=())
    for worker_id, serves in (("worker-1", "demo"), ("worker-2", "demo"), ("worker-3", "another")):
        times = (pace,) if serves == "demo" else ()
        api.reports.publish(
            worker_report(
                worker_id, models=(serves,), times=times, alive_until=api.clock.now() + timedelta(minutes=1)
            )
        )
    waiting = [api.stored_task(task_id=f"task-{n}") for n in range(3)]
    api.claimed_task(task_id="drawn")
    api.clock.advance(0.1)
    units = waiting[0].parameters.work_units
    body = queue(api)
    assert body["workers"] == 3
    assert body["models"][0]["workers"] == 2
    # The claimed task has half of its work left.
    assert body["backlog_gpu_seconds"] == pytest.approx(0.5 * units * 3.5, abs=0.001)
    api.clock.advance(61)
    gone = queue(api)
    assert gone["workers"] == 0
    assert gone["backlog_gpu_seconds"] == body["backlog_gpu_seconds"]


def test_throughput_covers_the_last_five_minutes(api: Api) -> None:
    end_one(api, useful=1.0)
    api.clock.advance(300)
    assert queue(api)["completed_per_minute"] == 0.2
    api.clock.advance(2)
    assert queue(api)["completed_per_minute"] == 0.0


def test_queue_is_measured_once_in_two_seconds(api: Api) -> None:
    for _ in range(5):
        queue(api)
    assert api.stats.calls["dead_letters"] == 1
    api.clock.advance(2)
    queue(api)
    assert api.stats.calls["dead_letters"] == 2


def test_queue_returns_503_and_recovers_after_a_failed_measurement(api: Api) -> None:
    api.stats.unavailable = True
    refused = api.client.get("/v1/queue")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")
    api.stats.unavailable = False
    assert queue(api)["queued"] == 0


def test_usage_is_returned_by_day_with_its_price(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, gpu_price=GpuPrice(per_second=0.0005, currency="EUR"))
    end_one(api, useful=10.0, wasted=4.0)
    end_one(api, useful=2.5)
    end_one(api, useful=1_000.0, user_id="bob")
    api.clock.advance(DAY_SECONDS)
    end_one(api, useful=1.0)
    body = usage(api)
    assert body["currency"] == "EUR"
    assert body["total"] == {"tasks": 3, "gpu_seconds": 13.5, "wasted_gpu_seconds": 4.0, "price": 0.00675}
    assert [day["day"] for day in body["days"]] == [f"2025-12-{n}" for n in range(27, 32)] + [
        "2026-01-01",
        "2026-01-02",
    ]
    assert body["days"][5] == {
        "day": "2026-01-01", "tasks": 2, "gpu_seconds": 12.5, "wasted_gpu_seconds": 4.0, "price": 0.00625,
    }  # fmt: skip
    assert body["days"][6]["tasks"] == 1
    assert body["days"][0]["tasks"] == 0


def test_price_is_null_when_none_is_configured(api: Api) -> None:
    end_one(api, useful=10.0)
    body = usage(api)
    assert (body["currency"], body["total"]["price"], body["total"]["gpu_seconds"]) == (None, None, 10.0)


def test_usage_days_end_at_midnight_utc(api: Api) -> None:
    api.clock.advance(12 * 3_600 - 1)
    end_one(api, useful=1.0)
    api.clock.advance(1)
    end_one(api, useful=2.0)
    first, second = usage(api, **{"from": "2026-01-01", "to": "2026-01-02"})["days"]
    assert (first["gpu_seconds"], second["gpu_seconds"]) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ({}, 7),
        ({"to": "2025-06-30"}, 7),
        ({"from": "2026-01-01"}, 1),
        ({"from": "2025-12-02"}, 31),
        ({"from": "2024-02-28", "to": "2024-03-01"}, 3),
    ],
)
def test_usage_covers_the_requested_days(api: Api, asked: dict[str, str], days: int) -> None:
    assert len(usage(api, **asked)["days"]) == days


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2026-01-02"},
        {"from": "2025-12-01"},
        {"from": "1"},
        {"to": "86400"},
        {"to": "2026-13-01"},
        {"to": "2026-01-01T00:00:00Z"},
        {"to": "9999-12-31"},
        {"from": "0001-01-01", "to": "0001-01-01"},
        {"user_id": "bob"},
    ],
    ids=str,
)
def test_invalid_interval_is_rejected(api: Api, asked: dict[str, str]) -> None:
    refused = api.client.get("/v1/usage", query_string=asked)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "parameters_rejected")
    assert refused.get_json()["errors"][0]["parameter"] in asked


def test_each_day_of_usage_counts_as_a_request(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_per_minute=40)
    today = api.clock.now().date()
    asked = {"from": f"{today - timedelta(days=30)}", "to": f"{today}"}
    assert api.client.get("/v1/usage", query_string=asked).status_code == 200
    refused = api.client.get("/v1/usage", query_string=asked)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    api.clock.advance(60)
    assert api.client.get("/v1/usage", query_string=asked).status_code == 200


def test_deleted_task_still_counts_in_usage(api: Api) -> None:
    end_one(api, useful=10.0, wasted=2.0)
    before = usage(api)
    api.clock.advance(DAY_SECONDS)
    assert api.client.delete("/v1/tasks/task-0").status_code == 204
    assert usage(api, to="2026-01-01") == before


def test_task_deleted_while_processing_counts_on_that_day(api: Api) -> None:
    task = api.claimed_task()
    api.clock.advance(DAY_SECONDS)
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert [day["tasks"] for day in usage(api)["days"][-2:]] == [0, 1]


def test_usage_returns_503_without_firestore(api: Api) -> None:
    api.usage_book.unavailable = True
    refused = api.client.get("/v1/usage")
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
