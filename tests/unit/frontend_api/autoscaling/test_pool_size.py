"""The size of a pool whose platform chooses the instance to stop: grows at once, shrinks after a window."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend_api.autoscaling.pool_size import PoolLimits, pool_size
from frontend_api.autoscaling.ports import DemandSample

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMITS = PoolLimits(min_instances=0, max_instances=4)


def size(current: int, each_minute: Sequence[int | None], limits: PoolLimits = LIMITS) -> int:
    """Return the size after samples at each minute until now; None is a missing one."""
    samples = [
        DemandSample(at=NOW - timedelta(minutes=len(each_minute) - 1 - number), workers=workers)
        for number, workers in enumerate(each_minute)
        if workers is not None
    ]
    return pool_size(current, samples, limits, now=NOW)


@pytest.mark.parametrize(
    ("current", "each_minute", "expected"),
    [
        (0, [1], 1),
        (1, [0, 0, 9], 4),
        (3, [1, 1, 1, 1, 1], 3),
        (3, [1, 1, 1, 1, 1, 1], 1),
        (3, [2, 1, 1, 1, 1, 1], 2),
        (3, [3, 1, 1, 1, 1, 1, 1], 1),
        (2, [0] * 6, 1),
        (1, [0] * 30, 1),
        (1, [0] * 31, 0),
        (1, [1] + [0] * 30, 1),
        (0, [0] * 3, 0),
    ],
    ids=[
        "grows at once",
        "grows to its maximum",
        "keeps its size within the window",
        "shrinks after the window",
        "shrinks to the window's highest demand",
        "ignores demand before the window",
        "keeps the last one first",
        "keeps the last one for half an hour",
        "removes the last one after half an hour without tasks",
        "counts the half hour from the last task",
        "stays empty",
    ],
)
def test_pool_follows_the_demand(current: int, each_minute: list[int], expected: int) -> None:
    assert size(current, each_minute) == expected


@pytest.mark.parametrize(
    ("each_minute", "expected"),
    [([0, 0, None, None, 0, 0, 0], 1), ([0, 0, None, None, None, 0, 0], 3), ([0], 3)],
    ids=["short gap", "long gap", "only the newest"],
)
def test_pool_does_not_shrink_over_a_time_without_demand(
    each_minute: list[int | None], expected: int
) -> None:
    assert size(3, each_minute) == expected


def test_equal_bounds_fix_the_size() -> None:
    fixed = PoolLimits(min_instances=2, max_instances=2)
    assert [size(current, [demand], fixed) for current in (0, 2, 9) for demand in (0, 7)] == [2] * 6


@given(st.integers(0, 6), st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=40), st.integers(0, 9))
def test_size_is_within_its_bounds_and_serves_the_newest_demand(
    current: int, earlier: list[int | None], newest: int
) -> None:
    found = size(current, [*earlier, newest])
    assert min(newest, LIMITS.max_instances) <= found <= LIMITS.max_instances
    assert found <= max(current, newest)
