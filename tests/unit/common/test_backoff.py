"""The pauses between attempts."""

from common.backoff import Backoff


def test_backoff_doubles_up_to_the_maximum() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=3.0)
    assert [backoff.next_pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.failures == 5


def test_backoff_starts_again_after_reset() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=3.0)
    backoff.next_pause()
    backoff.next_pause()
    backoff.reset()
    assert (backoff.failures, backoff.next_pause()) == (0, 0.5)


def test_backoff_stays_at_the_maximum_after_very_many_failures() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=3.0)
    assert {backoff.next_pause() for _ in range(5_000)} == {0.5, 1.0, 2.0, 3.0}


def test_jittered_pauses_stay_below_the_growing_limit() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=3.0, jitter=True)
    for limit in (0.5, 1.0, 2.0, 3.0, 3.0):
        assert 0 <= backoff.next_pause() <= limit
