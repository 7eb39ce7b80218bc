"""GET /internal/autoscaling: the figure rises with the queue; without data it is an error."""

from dataclasses import replace
from typing import Any

import pytest

from common.domain.worker_report import ModelTimes
from tests.factories import parameters, worker_report
from tests.unit.frontend_api.conftest import AUTOSCALING_TOKEN, INTERNAL_TOKEN, Api

BY_TOKEN = {"Authorization": f"Bearer {AUTOSCALING_TOKEN}"}


def asked(api: Api, query: str = "") -> dict[str, Any]:
    answer = api.client.get(f"/internal/autoscaling{query}", headers=BY_TOKEN)
    assert answer.status_code == 200, answer.get_json()
    body: dict[str, Any] = answer.get_json()
    return body


def measured_worker(api: Api, worker_id: str = "one", *, seconds_per_task: float) -> None:
    per_unit = seconds_per_task / parameters().work_units
    times = ModelTimes(model="demo", gpu_seconds_per_unit=per_unit, sizes=())
    api.reports.publish(replace(worker_report(worker_id), times=(times,)))


def queue(api: Api, count: int) -> None:
    for number in range(count):
        api.stored_task(task_id=f"task-{number}", parameters=parameters())
    api.clock.advance(1)  # a submission at the time of a measurement counts for the next one


def test_demand_is_zero_only_without_tasks(api: Api) -> None:
    nothing = {"workers": 0, "gpu_seconds": 0, "tasks": 0, "busy_workers": 0}
    assert {**asked(api), "as_of": None} == {**nothing, "as_of": None}
    queue(api, 1)
    api.clock.advance(2)
    assert asked(api)["workers"] == 1


def test_demand_rises_with_work_and_falls_with_the_target(api: Api) -> None:
    measured_worker(api, seconds_per_task=20)
    queue(api, 44)
    demand = asked(api)
    assert demand["gpu_seconds"] == pytest.approx(880, abs=0.01)
    assert demand["workers"] == pytest.approx(4, abs=0.001)
    assert asked(api, "?target_seconds=88")["workers"] == pytest.approx(10, abs=0.001)


def test_demand_of_a_pool_with_many_models(api: Api) -> None:
    names = ",".join(["demo"] * 200)
    queue(api, 1)
    assert asked(api, f"?models={names}")["tasks"] == 1


def test_busy_worker_counts_as_one(api: Api) -> None:
    for name in ("one", "two", "three"):
        measured_worker(api, name, seconds_per_task=1)
    for name in ("a", "b"):
        api.claimed_task(task_id=name)
    demand = asked(api)
    assert (demand["workers"], demand["busy_workers"], demand["tasks"]) == (2, 2, 2)


def test_model_without_measurements_counts_as_one_worker(api: Api) -> None:
    queue(api, 500)
    demand = asked(api)
    assert (demand["workers"], demand["gpu_seconds"], demand["tasks"]) == (1, None, 500)


def test_demand_covers_the_pools_models_only(api: Api) -> None:
    queue(api, 3)
    assert asked(api, "?models=demo")["tasks"] == 3


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("?models=demo,unheard-of", "models"),
        ("?target_seconds=0", "target_seconds"),
        ("?target_seconds=nan", "target_seconds"),
        ("?model=demo", "model"),
    ],
)
def test_demand_rejects_invalid_parameters(api: Api, query: str, parameter: str) -> None:
    answer = api.client.get(f"/internal/autoscaling{query}", headers=BY_TOKEN)
    assert (answer.status_code, answer.get_json()["errors"][0]["parameter"]) == (422, parameter)


def test_demand_returns_503_without_firestore(api: Api) -> None:
    queue(api, 3)
    assert asked(api)["tasks"] == 3
    api.stats.unavailable = True
    api.clock.advance(2)
    answer = api.client.get("/internal/autoscaling", headers=BY_TOKEN)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "dependency_unavailable")


def test_demand_returns_503_when_the_workload_is_outdated(api: Api) -> None:
    asked(api)
    reading = api.dependencies.estimates.workload_cache
    api.clock.advance(31)
    with reading._measuring:  # a measurement is in progress and Firestore is slow
        answer = api.client.get("/internal/autoscaling", headers=BY_TOKEN)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "dependency_unavailable")
    assert asked(api)["tasks"] == 0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": f"Bearer {INTERNAL_TOKEN}"}, {"X-API-Key": AUTOSCALING_TOKEN}],
    ids=["no credentials", "the scheduler", "as an API key"],
)
def test_demand_rejects_other_callers(api: Api, headers: dict[str, str]) -> None:
    assert api.client.get("/internal/autoscaling", headers=headers).status_code == 401
    assert api.client.get(f"/internal/autoscaling?token={AUTOSCALING_TOKEN}").status_code == 401


def test_autoscaling_token_is_rejected_elsewhere(api: Api) -> None:
    assert api.client.post("/internal/rescue", headers=BY_TOKEN).status_code == 401
