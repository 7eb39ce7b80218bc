"""The two budgets of an attempt: waiting for other tasks does not count as its own time."""

from gpu_subscriber.engine_host.attempt_clock import AttemptClock


def clock() -> AttemptClock:
    return AttemptClock(now=100.0, waiting_seconds=50.0, generating_seconds=10.0)


def test_waiting_has_its_own_budget() -> None:
    assert clock().deadline == 150.0


def test_generation_budget_starts_with_the_engines_start() -> None:
    attempt = clock()
    attempt.generate(140.0)
    attempt.generate(145.0)
    assert attempt.is_generating
    assert attempt.deadline == 150.0


def test_restarted_attempt_keeps_the_rest_of_both_budgets() -> None:
    attempt = clock()
    attempt.generate(120.0)
    attempt.wait(124.0)
    attempt.wait(125.0)
    assert attempt.deadline == 154.0
    attempt.generate(130.0)
    assert attempt.deadline == 136.0
