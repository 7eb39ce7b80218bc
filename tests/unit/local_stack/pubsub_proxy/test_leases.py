"""The bookkeeping of flow control."""

import pytest

from local_stack.pubsub_proxy.leases import Leases
from local_stack.pubsub_proxy.redelivery import pause_before_next_delivery


@pytest.fixture
def leases() -> Leases:
    return Leases()


def test_stream_capacity_is_its_message_limit(leases: Leases) -> None:
    window = leases.open(max_messages=2, max_bytes=0)
    assert leases.capacity(window) == 2
    assert leases.add(window, {"a": 1, "b": 1}, 60)
    assert leases.capacity(window) == 0
    leases.settle(["a"])
    assert leases.capacity(window) == 1


def test_byte_limit_admits_a_single_larger_message(leases: Leases) -> None:
    window = leases.open(max_messages=10, max_bytes=100)
    leases.add(window, {"large": 500}, 60)
    assert leases.capacity(window) == 0
    leases.settle(["large"])
    assert leases.capacity(window) == 10


def test_expired_lease_frees_capacity() -> None:
    now = [0.0]
    leases = Leases(lambda: now[0])
    window = leases.open(max_messages=1, max_bytes=0)
    leases.add(window, {"a": 1}, 60)
    leases.extend(["a"], 10)
    now[0] = 11
    window.changed.clear()
    leases.expire()
    assert leases.capacity(window) == 1
    assert window.changed.is_set()


def test_extension_to_zero_returns_the_message(leases: Leases) -> None:
    window = leases.open(max_messages=1, max_bytes=0)
    leases.add(window, {"a": 1}, 60)
    leases.extend(["a"], 0)
    assert leases.capacity(window) == 1


def test_close_returns_only_unseen_messages(leases: Leases) -> None:
    window = leases.open(max_messages=3, max_bytes=0)
    leases.add(window, {"unseen": 1, "worked on": 1}, 60)
    leases.extend(["worked on"], 10)
    assert leases.close(window) == ("unseen",)


def test_closed_stream_leases_nothing(leases: Leases) -> None:
    window = leases.open(max_messages=3, max_bytes=0)
    leases.close(window)
    assert not leases.add(window, {"late": 1}, 60)
    assert leases.close(window) == ()


def test_wake_all_wakes_every_stream(leases: Leases) -> None:
    windows = [leases.open(max_messages=1, max_bytes=0) for _ in range(2)]
    leases.wake_all()
    assert all(window.changed.is_set() for window in windows)


def test_lease_stores_the_delivery_attempt(leases: Leases) -> None:
    window = leases.open(max_messages=10, max_bytes=0)
    leases.add(window, {"a": 1}, 60, delivery_attempts={"a": 3})
    assert leases.delivery_attempt_of("a") == 3
    leases.settle(["a"])
    assert leases.delivery_attempt_of("a") == 0


def test_redelivery_backoff_starts_with_the_second_return() -> None:
    attempts = (0, 1, 2, 3, 4, 5, 6, 7, 100)
    assert [pause_before_next_delivery(attempt) for attempt in attempts] == [0, 0, 1, 2, 4, 8, 16, 20, 20]
