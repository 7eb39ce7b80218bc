"""Retries with backoff: which errors, until when."""

import threading

import pytest

from common.domain.errors import ClaimLostError, DependencyUnavailableError
from gpu_subscriber.dependency_retry import DependencyRetry


class Flaky:
    """Fails `failures` times, then returns the number of calls it took."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


def patience(*, seconds: float, draining: threading.Event | None = None) -> DependencyRetry:
    return DependencyRetry(seconds=seconds, draining=draining or threading.Event(), first_pause_seconds=0.001)


def test_unavailable_dependency_is_retried() -> None:
    assert patience(seconds=30)(Flaky(3, DependencyUnavailableError("firestore"))) == 4


def test_retries_end_after_the_limit() -> None:
    with pytest.raises(DependencyUnavailableError):
        patience(seconds=0)(Flaky(3, DependencyUnavailableError("firestore")))


def test_draining_worker_tries_once() -> None:
    draining, flaky = threading.Event(), Flaky(1, DependencyUnavailableError("firestore"))
    draining.set()
    with pytest.raises(DependencyUnavailableError):
        patience(seconds=30, draining=draining)(flaky)
    assert flaky.calls == 1


def test_other_errors_are_raised_immediately() -> None:
    flaky = Flaky(1, ClaimLostError("gone"))
    with pytest.raises(ClaimLostError):
        patience(seconds=30)(flaky)
    assert flaky.calls == 1
