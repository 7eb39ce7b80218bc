"""The bookkeeping of flow control."""

import pytest

from local_stack.pubsub_proxy.leases import Leases
from local_stack.pubsub_proxy.returns import pause_before_next_delivery


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def leases(clock: _Clock) -> Leases:
    return Leases(clock)


def test_a_stream_has_room_for_what_it_asked_for(leases: Leases) -> None:
    window = leases.open(max_messages=2, max_bytes=0)
    assert leases.room(window) == 2
    assert leases.add(window, {"a": 1, "b": 1}, 60)
    assert leases.room(window) == 0
    leases.settled(["a"])
    assert leases.room(window) == 1


def test_bytes_count_but_one_large_message_may_pass_alone(leases: Leases) -> None:
    window = leases.open(max_messages=10, max_bytes=100)
    leases.add(window, {"large": 500}, 60)
    assert leases.room(window) == 0
    leases.settled(["large"])
    assert leases.room(window) == 10


def test_a_lease_that_runs_out_makes_room_again(leases: Leases, clock: _Clock) -> None:
    window = leases.open(max_messages=1, max_bytes=0)
    leases.add(window, {"a": 1}, 60)
    leases.extended(["a"], 10)
    clock.now = 11
    window.changed.clear()
    leases.expire()
    assert leases.room(window) == 1
    assert window.changed.is_set()


def test_an_extension_to_zero_is_a_return(leases: Leases) -> None:
    window = leases.open(max_messages=1, max_bytes=0)
    leases.add(window, {"a": 1}, 60)
    leases.extended(["a"], 0)
    assert leases.room(window) == 1


def test_closing_gives_back_only_what_the_client_never_reacted_to(leases: Leases) -> None:
    window = leases.open(max_messages=3, max_bytes=0)
    leases.add(window, {"unseen": 1, "worked on": 1}, 60)
    leases.extended(["worked on"], 10)
    assert leases.close(window) == ("unseen",)


def test_a_closed_stream_takes_nothing_more(leases: Leases) -> None:
    window = leases.open(max_messages=3, max_bytes=0)
    leases.close(window)
    assert not leases.add(window, {"late": 1}, 60)
    assert leases.close(window) == ()


def test_new_messages_wake_every_stream(leases: Leases) -> None:
    windows = [leases.open(max_messages=1, max_bytes=0) for _ in range(2)]
    leases.wake_all()
    assert all(window.changed.is_set() for window in windows)


def test_a_delivery_is_known_by_its_attempt_while_it_is_out(leases: Leases) -> None:
    window = leases.open(max_messages=10, max_bytes=0)
    leases.add(window, {"a": 1}, 60, delivery_attempts={"a": 3})
    assert leases.delivery_attempt_of("a") == 3
    leases.settled(["a"])
    assert leases.delivery_attempt_of("a") == 0


def test_what_is_returned_waits_longer_each_time_but_not_the_first() -> None:
    attempts = (0, 1, 2, 3, 4, 5, 6, 7, 100)
    assert [pause_before_next_delivery(attempt) for attempt in attempts] == [0, 0, 1, 2, 4, 8, 16, 20, 20]
