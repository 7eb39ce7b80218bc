"""The status of the whole system, for operators only."""

from datetime import timedelta
from typing import Any

import pytest

from common.domain.task import Failure
from common.domain.worker_report import BrokenModel, ModelTimes, SizeTimes
from common.shared_values import SHARED
from common.wire_formats.task_event import encode_task_event, ending_of
from frontend_api.operations.alerts import ALERT_RULES
from frontend_api.webhooks.delivery_log import Outcome
from tests.factories import claim_of, spent, worker_report
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.dead_letters.test_routes import envelope

OPERATOR = signed_in_as("olga")


def operations(api: Api) -> Any:
    answer = api.client.get("/v1/operations", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def states(api: Api) -> dict[str, str]:
    return {alert["name"]: alert["state"] for alert in operations(api)["conditions"]}


def fail(api: Api, code: str, task_id: str) -> None:
    api.claimed_task(task_id=task_id)
    failure = Failure(code=code, message="no picture")
    api.store.update(task_id, lambda t: t.failed(claim_of(t), failure, api.clock.now(), output=spent(1.5)))


def size(pixels: int, *, step: float, images: int) -> SizeTimes:
    return SizeTimes(
        pass_pixels=pixels,
        step_seconds=step,
        alone_step_seconds=None,
        preparing_seconds=0.1,
        decoding_seconds=0.2,
        images=images,
    )


@pytest.mark.parametrize(("headers", "status"), [(signed_in_as("ada"), 403), ({}, 403), (OPERATOR, 200)])
def test_operations_are_refused_for_other_callers(api: Api, headers: dict[str, str], status: int) -> None:
    assert api.client.get("/v1/operations", headers=headers).status_code == status


def test_operations_contain_the_public_queue_state(api: Api) -> None:
    api.stored_task()
    assert operations(api)["queue"] == api.client.get("/v1/queue").get_json()


def test_workers_report_the_speed_of_their_most_frequent_size(api: Api) -> None:
    sizes = (size(65_536, step=0.01, images=2), size(131_072, step=0.0212345678, images=40))
    times = (ModelTimes(model="demo", gpu_seconds_per_unit=0.162345678, sizes=sizes),)
    alive = {"reported_at": api.clock.now(), "alive_until": api.clock.now() + timedelta(seconds=30)}
    broken = BrokenModel(model="demo", reason="OSError: no weights", failures=2, retry_at=api.clock.now())
    api.reports.publish(worker_report("worker-2", broken_models=(broken,), **alive))
    api.reports.publish(worker_report("worker-1", device="cuda", times=times, **alive))
    workers = operations(api)["workers"]
    assert workers == [
        {
            "worker_id": "worker-1",
            "models": ["demo"],
            "broken_models": [],
            "device": "cuda",
            "slots": 4,
            "deliveries": 5,
            "reported_at": "2026-01-01T12:00:00Z",
            "times": [
                {
                    "model": "demo",
                    "gpu_seconds_per_unit": 0.162346,
                    "step_seconds": 0.021235,
                    "pass_pixels": 131_072,
                    "images": 40,
                }
            ],
        },
        {
            "worker_id": "worker-2",
            "models": ["demo"],
            "broken_models": [
                {
                    "model": "demo",
                    "reason": "OSError: no weights",
                    "failures": 2,
                    "retry_at": "2026-01-01T12:00:00Z",
                }
            ],
            "device": "cpu",
            "slots": 4,
            "deliveries": 5,
            "reported_at": "2026-01-01T12:00:00Z",
            "times": [],
        },
    ]
    api.clock.advance(31)
    assert operations(api)["workers"] == []


def test_last_hour_counts_tasks_and_failure_codes(api: Api) -> None:
    fail(api, "engine_crashed", "long-ago")
    api.clock.advance(3_601)
    fail(api, "engine_hung", "hung")
    for number in range(2):
        fail(api, "device_lost", f"lost-{number}")
    api.completed_task(task_id="done")
    api.stored_task(task_id="unwanted")
    api.client.post("/v1/tasks/unwanted/cancel")
    assert operations(api)["last_hour"] == {
        "completed": 1,
        "failed": 3,
        "cancelled": 1,
        "gpu_seconds": 0.0,
        "wasted_gpu_seconds": 4.5,
        "failures": [{"code": "device_lost", "tasks": 2}, {"code": "engine_hung", "tasks": 1}],
    }


def test_operations_contain_every_alert(api: Api) -> None:
    alerts = operations(api)["conditions"]
    assert [alert["name"] for alert in alerts] == [rule.name for rule in ALERT_RULES]
    assert alerts[0] == {
        "name": "no_worker",
        "title": "Live workers",
        "severity": "CRITICAL",
        "state": "ok",
        "says": "0 workers are alive.",
        "runbook": "Wrong number of workers",
    }


def test_alerts_fire_for_failed_and_waiting_tasks(api: Api) -> None:
    assert set(states(api).values()) == {"ok"}
    api.clock.advance(10)
    for number in range(4):
        fail(api, "device_lost", f"lost-{number}")
    api.stored_task(task_id="lonely")
    api.clock.advance(1)
    assert states(api) == {
        "no_worker": "pending",
        "dependency_away": "ok",
        "availability_burns_fast": "ok",
        "model_unavailable": "ok",
        "oldest_waits": "ok",
        "stalled": "ok",
        "dead_letters": "ok",
        "tasks_fail": "firing",
        "backlog_grows": "ok",
        "seconds_wasted": "pending",
    }
    api.clock.advance(1_200)
    assert states(api)["no_worker"] == states(api)["oldest_waits"] == "firing"


def test_receivers_that_refuse_webhooks_are_no_failure_of_the_api(api: Api) -> None:
    api.receiver.outcomes = [Outcome(status=500, duration_seconds=0.5)] * 9
    task = api.completed_task(callback_url="https://hooks.example.com/darkroom")
    event = envelope(encode_task_event(ending_of(task)), died_at=api.clock.now())
    assert {api.call_internal("events", event).status_code for _ in range(9)} == {204}
    assert states(api)["availability_burns_fast"] == "ok"


def test_model_alert_fires_while_a_worker_cannot_load_a_model(api: Api) -> None:
    alive = {"reported_at": api.clock.now(), "alive_until": api.clock.now() + timedelta(seconds=30)}
    broken = BrokenModel(model="demo", reason="OSError: no weights", failures=2, retry_at=api.clock.now())
    api.reports.publish(worker_report("worker-1", **alive))
    api.reports.publish(worker_report("worker-2", broken_models=(broken,), **alive))
    (alert,) = [one for one in operations(api)["conditions"] if one["name"] == "model_unavailable"]
    assert (alert["state"], alert["says"]) == ("firing", "Loading failed: demo on 1 of 2 workers.")
    api.clock.advance(31)
    assert states(api)["model_unavailable"] == "ok"


def test_growth_is_counted_only_for_queues_above_the_limit(api: Api) -> None:
    api = Api(folder=api.folder, alert_limits=SHARED.alert_limits.model_copy(update={"waiting_tasks": 2}))
    for number in range(2):
        api.stored_task(task_id=f"task-{number}")
    assert (states(api)["backlog_grows"], api.stats.calls["arrived"]) == ("ok", 0)
    api.stored_task(task_id="one-too-many")
    api.clock.advance(10)
    assert (states(api)["backlog_grows"], api.stats.calls["arrived"]) == ("firing", 1)


def test_counts_are_shared_for_ten_seconds(api: Api) -> None:
    for _ in range(5):
        operations(api)
    assert (api.stats.calls["dead_letters"], api.stats.calls["failure_codes"]) == (1, 1)
    api.clock.advance(9.9)
    operations(api)
    assert (api.stats.calls["dead_letters"], api.stats.calls["failure_codes"]) == (2, 1)
    api.clock.advance(0.1)
    operations(api)
    assert api.stats.calls["failure_codes"] == 2


def test_operations_return_503_when_the_store_is_unavailable(api: Api) -> None:
    api.stats.unavailable = True
    refused = api.client.get("/v1/operations", headers=OPERATOR)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")
    assert "Retry-After" in refused.headers
    api.stats.unavailable = False
    assert operations(api)["last_hour"]["failed"] == 0
