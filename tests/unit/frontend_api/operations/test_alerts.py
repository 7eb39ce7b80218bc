"""The evaluation of alerts: ok, pending or firing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from common.domain.task import TaskStatus
from common.shared_values import SHARED
from frontend_api.estimates.workload import Workload
from frontend_api.health.readiness import Reachability
from frontend_api.operations.alerts import (
    ALERT_RULES,
    API_RESPONSES,
    BACKLOG_GROWS,
    DEAD_LETTERS,
    DEPENDENCIES,
    NO_WORKER,
    OLDEST_WAITS,
    SECONDS_WASTED,
    STALLED,
    TASKS_FAIL,
    Alert,
    AlertEvaluation,
    AlertRule,
    AlertState,
)
from frontend_api.operations.response_counts import ResponseCounts, ResponseShare
from frontend_api.stats.ports import Lately, QueueLine
from frontend_api.usage.ports import UsageTotals
from tests.factories import NOW, worker_report
from tests.fakes.fake_clock import FakeClock

IDLE = QueueLine(queued=0, oldest_queued_at=None, processing=0, completed_lately=0)
LIMITS = SHARED.alert_limits


def waiting(seconds: float, *, tasks: int = 3) -> QueueLine:
    return QueueLine(
        queued=tasks, oldest_queued_at=NOW - timedelta(seconds=seconds), processing=0, completed_lately=0
    )


def totals(tasks: int, *, useful: float = 0.0, wasted: float = 0.0) -> UsageTotals:
    return UsageTotals(tasks=tasks, gpu_seconds=useful, wasted_gpu_seconds=wasted)


def evaluated(
    lines: Mapping[str, QueueLine] | None = None,
    *,
    workers: tuple[str, ...] = ("demo",),
    **changes: Any,
) -> dict[AlertRule, Alert]:
    reports = tuple(worker_report(f"worker-{model}", models=(model,)) for model in workers)
    fields: dict[str, Any] = {
        "limits": LIMITS,
        "as_of": NOW,
        "lines": lines or {"demo": IDLE},
        "workload": Workload(as_of=NOW, measured={}, workers=reports),
        "dead_letters": 0,
        "lately": Lately(),
        "dependencies": (),
        "responses": ResponseShare(),
        **changes,
    }
    return {alert.rule: alert for alert in AlertEvaluation(**fields)}


def test_all_alerts_are_ok_without_tasks_and_workers() -> None:
    alerts = evaluated(workers=())
    assert tuple(alerts) == ALERT_RULES
    assert {alert.state for alert in alerts.values()} == {AlertState.OK}
    assert alerts[NO_WORKER].says == "0 workers are alive."


def test_unreachable_dependency_fires() -> None:
    found = [
        Reachability(name=name, is_reachable=name != "pubsub", latency_seconds=0.1)
        for name in ("firestore", "pubsub")
    ]
    alert = evaluated(dependencies=found)[DEPENDENCIES]
    assert (alert.state, alert.says) == (
        AlertState.FIRING,
        "pubsub did not respond to this instance of the API.",
    )


@pytest.mark.parametrize(
    ("failed", "every", "state"),
    [
        (0, 0, AlertState.OK),
        (5, 100, AlertState.OK),
        (2, 10, AlertState.PENDING),
        (60, 100, AlertState.FIRING),
    ],
)
def test_failed_responses_fire_above_a_share(failed: int, every: int, state: AlertState) -> None:
    assert evaluated(responses=ResponseShare(all=every, failed=failed))[API_RESPONSES].state is state


def test_queue_is_stalled_when_a_live_worker_processes_nothing() -> None:
    moving = replace(waiting(600), completed_lately=1)
    busy = replace(waiting(600), processing=1)
    assert evaluated({"demo": waiting(119)})[STALLED].state is AlertState.PENDING
    assert evaluated({"demo": waiting(120)})[STALLED].state is AlertState.FIRING
    for fine in (
        {"demo": moving},
        {"demo": busy},
        {"demo": waiting(600), "other": busy},
        {"other": waiting(600)},
    ):
        assert evaluated(fine)[STALLED].state is AlertState.OK


def test_response_counts_forget_after_five_minutes() -> None:
    clock = FakeClock()
    counts = ResponseCounts(clock)
    for status in (200, 404, 503):
        counts.add(status)
    clock.advance(60)
    counts.add(500)
    assert counts.lately() == ResponseShare(all=4, failed=2)
    clock.advance(299)
    assert counts.lately() == ResponseShare(all=1, failed=1)
    clock.advance(600)
    counts.add(200)
    assert counts.lately() == ResponseShare(all=1)


def test_alerts_are_ordered_by_severity() -> None:
    severities = [rule.severity for rule in ALERT_RULES]
    assert severities == sorted(severities, key=("CRITICAL", "ERROR", "WARNING").index)


@pytest.mark.parametrize(
    ("age", "state"), [(0, AlertState.PENDING), (1_199, AlertState.PENDING), (1_200, AlertState.FIRING)]
)
def test_no_worker_fires_when_tasks_waited_for_twenty_minutes(age: float, state: AlertState) -> None:
    lines = {"demo": waiting(30), "sdxl": waiting(age, tasks=2), "flux": IDLE}
    alert = evaluated(lines, workers=("demo",))[NO_WORKER]
    assert alert.state is state
    assert alert.says == "2 unfinished tasks for sdxl, and no worker that serves them is alive."


def test_tasks_that_a_dead_worker_left_behind_need_a_worker() -> None:
    lines = {"demo": replace(IDLE, processing=2), "sdxl": replace(waiting(30, tasks=1), processing=1)}
    alert = evaluated(lines, workers=())[NO_WORKER]
    assert alert.state is AlertState.PENDING
    assert alert.says == "4 unfinished tasks for demo, sdxl, and no worker that serves them is alive."
    assert evaluated(lines, workers=("demo", "sdxl"))[NO_WORKER].state is AlertState.OK


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (900, AlertState.OK),
        (901, AlertState.PENDING),
        (1_199, AlertState.PENDING),
        (1_200, AlertState.FIRING),
    ],
)
def test_oldest_waits_fires_five_minutes_above_its_limit(age: float, state: AlertState) -> None:
    assert evaluated({"demo": waiting(age), "flux": IDLE})[OLDEST_WAITS].state is state


def test_oldest_waits_names_the_model_above_its_limit() -> None:
    says = evaluated({"demo": waiting(10), "flux": waiting(7_260)})[OLDEST_WAITS].says
    assert says == "A task has waited for 121 min, longer than 15 min: flux."


@pytest.mark.parametrize(
    ("kept", "state", "says"),
    [
        (0, AlertState.OK, "There are no dead letters."),
        (1, AlertState.FIRING, "1 message could not be processed: replay or delete."),
        (1_200, AlertState.FIRING, "1,200 messages could not be processed: replay or delete."),
    ],
)
def test_dead_letters_fires_at_the_first_dead_letter(kept: int, state: AlertState, says: str) -> None:
    alert = evaluated(dead_letters=kept)[DEAD_LETTERS]
    assert (alert.state, alert.says) == (state, says)


@pytest.mark.parametrize(
    ("completed", "failed", "state"),
    [
        (0, 3, AlertState.OK),
        (0, 4, AlertState.FIRING),
        (75, 4, AlertState.FIRING),
        (76, 4, AlertState.OK),
        (95, 5, AlertState.OK),
        (94, 5, AlertState.FIRING),
    ],
)
def test_tasks_fail_fires_above_a_number_and_a_share(completed: int, failed: int, state: AlertState) -> None:
    within = {TaskStatus.COMPLETED: totals(completed), TaskStatus.FAILED: totals(failed)}
    alert = evaluated(lately=Lately(half_hour=within))[TASKS_FAIL]
    assert alert.state is state
    assert alert.says.startswith(f"{failed} of {completed + failed} tasks failed")


@pytest.mark.parametrize(
    ("growth", "state"), [(-1, AlertState.OK), (0, AlertState.OK), (1, AlertState.FIRING)]
)
def test_backlog_grows_fires_only_when_the_queue_grows(growth: int, state: AlertState) -> None:
    assert evaluated(lately=Lately(growth={"demo": growth}))[BACKLOG_GROWS].state is state


def spent(useful: float, wasted: float) -> dict[TaskStatus, UsageTotals]:
    return {TaskStatus.COMPLETED: totals(9, useful=useful), TaskStatus.FAILED: totals(1, wasted=wasted)}


@pytest.mark.parametrize(
    ("of_hour", "of_its_second_half", "state"),
    [
        ((0, 0), (0, 0), AlertState.OK),
        ((80, 20), (0, 20), AlertState.OK),
        ((79, 21), (40, 0), AlertState.PENDING),
        ((79, 21), (0, 21), AlertState.PENDING),
        ((78, 22), (39, 11), AlertState.FIRING),
        ((0, 1), (0, 1), AlertState.PENDING),
    ],
)
def test_seconds_wasted_fires_when_both_half_hours_are_above_its_limit(
    of_hour: tuple[float, float], of_its_second_half: tuple[float, float], state: AlertState
) -> None:
    lately = Lately(hour=spent(*of_hour), half_hour=spent(*of_its_second_half))
    assert evaluated(lately=lately)[SECONDS_WASTED].state is state


def test_seconds_wasted_ignores_cancelled_tasks() -> None:
    hour = {**spent(10, 0), TaskStatus.CANCELLED: totals(5, wasted=100)}
    assert evaluated(lately=Lately(hour=hour))[SECONDS_WASTED].state is AlertState.OK


def test_alerts_use_the_configured_limits() -> None:
    strict = LIMITS.model_copy(update={"oldest_seconds": 60})
    assert evaluated({"demo": waiting(400)}, limits=strict)[OLDEST_WAITS].state is AlertState.FIRING
