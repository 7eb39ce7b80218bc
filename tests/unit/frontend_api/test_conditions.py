"""Conditions: ok, pending or firing, from figures alone."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from common.domain.task import TaskStatus
from frontend_api.conditions import (
    ALL_WATCHED,
    BACKLOG_GROWS,
    DEAD_LETTERS,
    NO_WORKER,
    OLDEST_WAITS,
    SECONDS_WASTED,
    TASKS_FAIL,
    AlertLimits,
    Condition,
    Conditions,
    State,
    Watched,
)
from frontend_api.queue_gauge import QueueLine
from frontend_api.task_flow import Lately
from frontend_api.usage_totals import UsageTotals
from frontend_api.workload import Workload
from tests.factories import NOW, worker_report

IDLE = QueueLine(queued=0, oldest_queued_at=None, processing=0, completed_lately=0)
LIMITS = AlertLimits()


def waiting(seconds: float, *, tasks: int = 3) -> QueueLine:
    return QueueLine(
        queued=tasks, oldest_queued_at=NOW - timedelta(seconds=seconds), processing=0, completed_lately=0
    )


def totals(tasks: int, *, useful: float = 0.0, wasted: float = 0.0) -> UsageTotals:
    return UsageTotals(tasks=tasks, gpu_seconds=useful, wasted_gpu_seconds=wasted)


def told(
    lines: Mapping[str, QueueLine] | None = None,
    *,
    workers: tuple[str, ...] = ("demo",),
    **changes: Any,
) -> dict[Watched, Condition]:
    reports = tuple(worker_report(f"worker-{model}", models=(model,)) for model in workers)
    fields: dict[str, Any] = {
        "limits": LIMITS,
        "as_of": NOW,
        "lines": lines or {"demo": IDLE},
        "workload": Workload(as_of=NOW, measured={}, workers=reports),
        "dead_letters": 0,
        "lately": Lately(),
        **changes,
    }
    return {condition.watched: condition for condition in Conditions(**fields)}


def test_where_nothing_happens_all_is_fine_even_without_a_worker() -> None:
    conditions = told(workers=())
    assert tuple(conditions) == ALL_WATCHED
    assert {condition.state for condition in conditions.values()} == {State.FINE}
    assert conditions[NO_WORKER].says == "0 workers are alive."


def test_the_gravest_come_first() -> None:
    severities = [watched.severity for watched in ALL_WATCHED]
    assert severities == sorted(severities, key=("CRITICAL", "ERROR", "WARNING").index)


@pytest.mark.parametrize(("age", "state"), [(0, State.WATCH), (1_199, State.WATCH), (1_200, State.WANTS_YOU)])
def test_tasks_that_nobody_will_take_want_somebody_after_twenty_minutes(age: float, state: State) -> None:
    lines = {"demo": waiting(30), "sdxl": waiting(age, tasks=2), "flux": IDLE}
    condition = told(lines, workers=("demo",))[NO_WORKER]
    assert condition.state is state
    assert condition.says == "2 tasks wait for sdxl, and no worker that serves it is alive."


@pytest.mark.parametrize(
    ("age", "state"),
    [(900, State.FINE), (901, State.WATCH), (1_199, State.WATCH), (1_200, State.WANTS_YOU)],
)
def test_a_task_may_wait_for_a_quarter_of_an_hour(age: float, state: State) -> None:
    assert told({"demo": waiting(age), "flux": IDLE})[OLDEST_WAITS].state is state


def test_the_model_whose_tasks_wait_is_named() -> None:
    says = told({"demo": waiting(10), "flux": waiting(7_260)})[OLDEST_WAITS].says
    assert says == "A task has waited for 121 min, longer than 15 min: flux."


@pytest.mark.parametrize(
    ("kept", "state", "says"),
    [
        (0, State.FINE, "There are none."),
        (1, State.WANTS_YOU, "1 message was given up on: replay or delete."),
        (1_200, State.WANTS_YOU, "1,200 messages were given up on: replay or delete."),
    ],
)
def test_one_dead_letter_is_enough(kept: int, state: State, says: str) -> None:
    condition = told(dead_letters=kept)[DEAD_LETTERS]
    assert (condition.state, condition.says) == (state, says)


@pytest.mark.parametrize(
    ("completed", "failed", "state"),
    [
        (0, 3, State.FINE),
        (0, 4, State.WANTS_YOU),
        (75, 4, State.WANTS_YOU),
        (76, 4, State.FINE),
        (95, 5, State.FINE),
        (94, 5, State.WANTS_YOU),
    ],
)
def test_a_few_tasks_and_a_small_share_may_fail(completed: int, failed: int, state: State) -> None:
    within = {TaskStatus.COMPLETED: totals(completed), TaskStatus.FAILED: totals(failed)}
    condition = told(lately=Lately(half_hour=within))[TASKS_FAIL]
    assert condition.state is state
    assert condition.says.startswith(f"{failed} of {completed + failed} that ended")


@pytest.mark.parametrize(("growth", "state"), [(-1, State.FINE), (0, State.FINE), (1, State.WANTS_YOU)])
def test_a_long_queue_is_fine_as_long_as_it_does_not_grow(growth: int, state: State) -> None:
    assert told(lately=Lately(growth={"demo": growth}))[BACKLOG_GROWS].state is state


def spent(useful: float, wasted: float) -> dict[TaskStatus, UsageTotals]:
    return {TaskStatus.COMPLETED: totals(9, useful=useful), TaskStatus.FAILED: totals(1, wasted=wasted)}


@pytest.mark.parametrize(
    ("of_hour", "of_its_second_half", "state"),
    [
        ((0, 0), (0, 0), State.FINE),
        ((80, 20), (0, 20), State.FINE),
        ((79, 21), (40, 0), State.WATCH),
        ((79, 21), (0, 21), State.WATCH),
        ((78, 22), (39, 11), State.WANTS_YOU),
        ((0, 1), (0, 1), State.WATCH),
    ],
)
def test_a_share_of_the_seconds_may_be_wasted_and_more_for_half_an_hour(
    of_hour: tuple[float, float], of_its_second_half: tuple[float, float], state: State
) -> None:
    lately = Lately(hour=spent(*of_hour), half_hour=spent(*of_its_second_half))
    assert told(lately=lately)[SECONDS_WASTED].state is state


def test_what_was_cancelled_was_not_wasted_by_the_system() -> None:
    hour = {**spent(10, 0), TaskStatus.CANCELLED: totals(5, wasted=100)}
    assert told(lately=Lately(hour=hour))[SECONDS_WASTED].state is State.FINE


def test_limits_are_the_deployments_own() -> None:
    strict = AlertLimits(oldest_seconds=60)
    assert told({"demo": waiting(400)}, limits=strict)[OLDEST_WAITS].state is State.WANTS_YOU
