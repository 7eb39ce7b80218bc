"""The two budgets of an attempt: waiting for other tasks does not count as its own time."""

from gpu_subscriber.engine_host.attempt_clock import AttemptClock


def clock() -> AttemptClock:
    return AttemptClock(now=100.0, waiting_seconds=50.0, generating_seconds=10.0)


def test_waiting_has_a_budget_of_its_own() -> None:
    assert clock().deadline == 150.0


def test_generating_begins_when_the_engine_starts_it() -> None:
    attempt = clock()
    attempt.generate(140.0)
    attempt.generate(145.0)
    assert attempt.is_generating
    assert attempt.deadline == 150.0


def test_an_attempt_that_starts_over_goes_on_with_what_is_left_of_both() -> None:
    attempt = clock()
    attempt.generate(120.0)
    attempt.wait(124.0)
    attempt.wait(125.0)
    assert attempt.deadline == 154.0
    attempt.generate(130.0)
    assert attempt.deadline == 136.0
