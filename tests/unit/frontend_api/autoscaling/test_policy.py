"""The number of workers that a pool's tasks require, for any input."""

import math

from hypothesis import given
from hypothesis import strategies as st

from frontend_api.autoscaling.policy import TARGET_SECONDS, workers_demanded

gpu_seconds = st.floats(min_value=0, max_value=1e7)
tasks = st.integers(min_value=0, max_value=100_000)
workers = st.integers(min_value=0, max_value=1_000)
targets = st.floats(min_value=1, max_value=3_600)


def demanded(seconds: float, count: int, busy: int, target: float = TARGET_SECONDS) -> float:
    return workers_demanded(gpu_seconds=seconds, tasks=count, busy_workers=busy, target_seconds=target)


@given(gpu_seconds, st.integers(min_value=1, max_value=100_000), workers, targets)
def test_it_is_never_zero_while_a_task_has_not_ended(
    seconds: float, count: int, busy: int, target: float
) -> None:
    assert demanded(seconds, count, busy, target) >= 1


@given(gpu_seconds, workers, targets)
def test_without_a_task_it_is_zero(seconds: float, busy: int, target: float) -> None:
    assert demanded(seconds, 0, busy, target) == 0


@given(gpu_seconds, gpu_seconds, tasks, tasks, workers, workers, targets)
def test_more_work_never_asks_for_fewer(
    seconds: float, more: float, count: int, more_tasks: int, busy: int, more_busy: int, target: float
) -> None:
    fewer = demanded(seconds, count, busy, target)
    assert demanded(seconds + more, count + more_tasks, busy + more_busy, target) >= fewer


@given(gpu_seconds, tasks, workers, targets)
def test_there_are_never_more_workers_than_tasks(
    seconds: float, count: int, busy: int, target: float
) -> None:
    assert demanded(seconds, count, busy, target) <= count


@given(gpu_seconds, tasks, workers, targets)
def test_shrinking_to_it_takes_no_worker_from_its_task(
    seconds: float, count: int, busy: int, target: float
) -> None:
    assert math.ceil(demanded(seconds, count, busy, target)) >= min(busy, count)


@given(gpu_seconds, workers, targets)
def test_so_many_workers_are_done_within_the_target(seconds: float, busy: int, target: float) -> None:
    chosen = math.ceil(demanded(seconds, 10**9, busy, target))
    assert seconds / chosen <= target * (1 + 1e-9)
