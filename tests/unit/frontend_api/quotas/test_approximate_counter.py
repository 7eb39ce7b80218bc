"""ApproximateCounter: how far several processes can exceed a limit together, and how many reads it saves."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.domain.errors import DependencyUnavailableError
from frontend_api.quotas.approximate_counter import ApproximateCounter
from tests.fakes.fake_clock import FakeClock


class Store:
    """The stored count, as every process reads it."""

    def __init__(self) -> None:
        self.stored = 0
        self.looks = 0

    def count(self, at_most: int) -> int:
        self.looks += 1
        return min(at_most, self.stored)


def process(store: Store, limit: int, clock: FakeClock | None = None) -> ApproximateCounter:
    return ApproximateCounter(limit=limit, count=store.count, clock=clock or FakeClock())


def submit(store: Store, count: ApproximateCounter) -> bool:
    if not count.take():
        return False
    store.stored += 1
    count.commit()
    return True


def test_counter_grants_exactly_the_limit_in_one_process() -> None:
    store = Store()
    count = process(store, 100)
    assert [submit(store, count) for _ in range(150)] == [True] * 100 + [False] * 50
    assert count.left == 0


@given(
    limit=st.integers(1, 200),
    processes=st.integers(1, 6),
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=1_500),
)
def test_processes_exceed_the_limit_by_at_most_a_tenth_each(
    limit: int, processes: int, turns: list[int]
) -> None:
    store, clock = Store(), FakeClock()
    counts = [process(store, limit, clock) for _ in range(processes)]
    for turn in turns:
        submit(store, counts[turn % processes])
        clock.advance(0.1)
    assert store.stored <= limit + (processes - 1) * max(1, limit // 10)


@given(limit=st.integers(1, 50), stored=st.integers(0, 49), others=st.integers(0, 100))
def test_counter_refreshes_before_it_rejects(limit: int, stored: int, others: int) -> None:
    store, clock = Store(), FakeClock()
    count = process(store, limit, clock)
    store.stored = others  # by other processes
    while submit(store, count):
        continue
    store.stored = min(stored, limit - 1)  # most of them have finished
    clock.advance(1)
    assert submit(store, count)


def test_full_counter_refreshes_once_a_second() -> None:
    store, clock = Store(), FakeClock()
    store.stored = 5  # by other processes
    count = process(store, 5, clock)
    assert submit(store, count)  # the share that needs no read
    assert not any(count.take() for _ in range(50))
    assert store.looks == 1
    clock.advance(1)
    assert not count.take()
    assert store.looks == 2


def test_released_grants_can_be_taken_again() -> None:
    store = Store()
    count = process(store, 10)
    for _ in range(100):
        assert count.take()
        count.release()
    assert count.left == 10


def test_amounts_are_granted_up_to_the_first_that_does_not_fit() -> None:
    count = process(Store(), 10)
    assert count.take((4.0, 5.0, 3.0, 0.5)) == 2
    assert (count.used, count.left) == (9.0, 1)
    count.release(4.0)
    assert count.take((5.0,)) == 1


def test_first_amount_fits_when_nothing_else_is_counted() -> None:
    store, clock = Store(), FakeClock()
    count = process(store, 10, clock)
    assert count.take((25.0, 1.0)) == 1
    store.stored = 25
    count.commit(25.0)
    clock.advance(1)
    assert count.take((1.0,)) == 0
    store.stored = 0
    clock.advance(1)
    assert count.take((25.0,)) == 1


def test_old_count_is_refreshed_before_the_next_grant() -> None:
    store, clock = Store(), FakeClock()
    count = ApproximateCounter(limit=100, count=store.count, clock=clock, recount_after=timedelta(seconds=60))
    assert submit(store, count)
    store.stored = 100  # the tasks used more than they were predicted to
    clock.advance(59)
    assert count.take() == 1
    clock.advance(1)
    assert count.take() == 0


def test_amounts_taken_regardless_of_the_limit_count() -> None:
    count = process(Store(), 10)
    count.take_regardless((8.0, 8.0))
    assert (count.used, count.left, count.take((1.0,))) == (16.0, 0, 0)


def test_counter_raises_beyond_its_share_without_the_store() -> None:
    def away(_: int) -> int:
        raise DependencyUnavailableError("firestore")

    count = ApproximateCounter(limit=20, count=away, clock=FakeClock())
    assert count.take()
    assert count.take()
    with pytest.raises(DependencyUnavailableError):
        count.take()
    assert count.left == 18


def test_concurrent_grants_never_exceed_the_limit() -> None:
    store, lock, at_once = Store(), threading.Lock(), threading.Barrier(8)
    count = process(store, 60)

    def submit_some(_: int) -> int:
        at_once.wait()
        accepted = 0
        for _ in range(20):
            if count.take():
                with lock:
                    store.stored += 1
                count.commit()
                accepted += 1
        return accepted

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit_some, range(8))) <= 60
    assert store.stored <= 60
