"""When a model that failed to load may be retried."""

from datetime import UTC, datetime, timedelta

from gpu_subscriber.engine.models.model_backoff import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ModelBackoff,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_unfailed_model_has_no_backoff() -> None:
    assert ModelBackoff().seconds_left("m") == 0


def test_consecutive_failures_double_the_pause_up_to_the_limit() -> None:
    clock = Clock()
    backoff = ModelBackoff(clock=clock)
    pauses = []
    for _ in range(9):
        backoff.failed("m", "reason")
        pauses.append(backoff.seconds_left("m"))
        clock.now += pauses[-1]
        assert backoff.seconds_left("m") == 0
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_broken_model_has_reason_and_retry_time() -> None:
    backoff = ModelBackoff()
    backoff.failed("m", "first")
    backoff.failed("m", "x" * 5_000)
    (broken,) = backoff.broken
    assert (broken.model, broken.failures, len(broken.reason)) == ("m", 2, 1_000)
    assert timedelta(0) < broken.retry_at - datetime.now(UTC) <= timedelta(seconds=2 * FIRST_PAUSE_SECONDS)


def test_recovered_model_starts_with_the_first_pause() -> None:
    backoff = ModelBackoff(clock=Clock())
    backoff.failed("m", "reason")
    backoff.failed("m", "reason")
    backoff.recovered("m")
    assert backoff.broken == ()
    backoff.failed("m", "reason")
    assert backoff.seconds_left("m") == FIRST_PAUSE_SECONDS
