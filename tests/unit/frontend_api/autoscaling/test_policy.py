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
def test_demand_is_above_zero_with_unfinished_tasks(
    seconds: float, count: int, busy: int, target: float
) -> None:
    assert demanded(seconds, count, busy, target) >= 1


@given(gpu_seconds, workers, targets)
def test_demand_is_zero_without_tasks(seconds: float, busy: int, target: float) -> None:
    assert demanded(seconds, 0, busy, target) == 0


@given(gpu_seconds, gpu_seconds, tasks, tasks, workers, workers, targets)
def test_demand_never_falls_with_more_work(
    seconds: float, more: float, count: int, more_tasks: int, busy: int, more_busy: int, target: float
) -> None:
    fewer = demanded(seconds, count, busy, target)
    assert demanded(seconds + more, count + more_tasks, busy + more_busy, target) >= fewer


@given(gpu_seconds, tasks, workers, targets)
def test_demand_never_exceeds_the_number_of_tasks(
    seconds: float, count: int, busy: int, target: float
) -> None:
    assert demanded(seconds, count, busy, target) <= count


@given(gpu_seconds, tasks, workers, targets)
def test_demand_is_at_least_the_busy_workers(seconds: float, count: int, busy: int, target: float) -> None:
    assert math.ceil(demanded(seconds, count, busy, target)) >= min(busy, count)


@given(gpu_seconds, workers, targets)
def test_demanded_workers_finish_within_the_target(seconds: float, busy: int, target: float) -> None:
    chosen = math.ceil(demanded(seconds, 10**9, busy, target))
    assert seconds / chosen <= target * (1 + 1e-9)
