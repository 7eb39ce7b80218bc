"""Cached: staleness, single flight and failures."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from frontend_api.cache import Cached
from tests.counted_lock import CountedLock
from tests.fakes.fake_clock import FakeClock

TTL = timedelta(seconds=2)


class Source:
    """Counts its reads; `failure` makes them raise, `gate` makes them wait."""

    def __init__(self) -> None:
        self.reads = 0
        self.failure: Exception | None = None
        self.began = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, _now: datetime) -> int:
        self.reads += 1
        reads = self.reads
        self.began.set()
        assert self.gate.wait(60)
        if self.failure is not None:
            raise self.failure
        return reads


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_value_is_read_again_after_its_ttl(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock)
    assert [cached(), cached()] == [1, 1]
    clock.advance(2)
    assert cached() == 2


def test_concurrent_first_callers_share_one_read(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock)
    source.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(cached) for _ in range(8)]
        assert source.began.wait(60)
        source.gate.set()
        assert [call.result(60) for call in calls] == [1] * 8


def test_previous_value_is_returned_while_a_new_one_is_read(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock)
    cached()
    clock.advance(2)
    source.began.clear()
    source.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(cached)
        assert source.began.wait(60)
        assert cached() == 1
        source.gate.set()
        assert reading.result(60) == 2


def test_errors_are_raised_and_not_cached(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock)
    cached()
    clock.advance(2)
    source.failure = ValueError("unavailable")
    with pytest.raises(ValueError, match="unavailable"):
        cached()
    source.failure = None
    assert cached() == 3


def test_callers_that_wait_for_a_read_share_its_failure(
    source: Source, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the last one waits for as many reads as there are callers."""
    cached, lock = Cached(source, ttl=TTL, clock=clock), CountedLock()
    monkeypatch.setattr(cached, "_reading", lock)
    source.failure = ValueError("unavailable")
    source.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(cached) for _ in range(8)]
        lock.wait_until_requested(8)
        source.gate.set()
        assert {type(call.exception(60)) for call in calls} == {ValueError}
    assert source.reads == 1
    source.failure = None
    assert cached() == 2


def test_old_value_replaces_an_error_up_to_its_maximum_age(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock, max_age=timedelta(seconds=10))
    cached()
    source.failure = ValueError("unavailable")
    clock.advance(9)
    assert cached() == 1
    clock.advance(1)
    with pytest.raises(ValueError, match="unavailable"):
        cached()


def test_no_read_begins_for_a_pause_after_a_failure(source: Source, clock: FakeClock) -> None:
    cached = Cached(source, ttl=TTL, clock=clock, retry_after=timedelta(seconds=5))
    source.failure = ValueError("unavailable")
    for _ in range(3):
        with pytest.raises(ValueError, match="unavailable"):
            cached()
    assert source.reads == 1
    source.failure = None
    clock.advance(5)
    assert cached() == 2
