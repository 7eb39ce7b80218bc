"""The times of the tries of a delivery that always fails."""

from datetime import timedelta

from frontend_api.webhooks.retry_schedule import RetrySchedule
from tests.factories import NOW


def pauses_of(schedule: RetrySchedule) -> list[float]:
    """Return the seconds between the tries, if each starts when it is due."""
    at, ends = NOW, schedule.end_of(NOW)
    pauses = []
    while (next_at := schedule.next_try(at, ends=ends)) is not None:
        pauses.append((next_at - at).total_seconds())
        at = next_at
    return pauses


def test_pauses_double_up_to_ten_minutes_for_a_day() -> None:
    pauses = pauses_of(RetrySchedule())
    assert pauses[:7] == [30, 30, 60, 120, 240, 480, 600]
    assert set(pauses[7:]) == {600}
    assert timedelta(days=1) <= timedelta(seconds=sum(pauses)) < timedelta(days=1, minutes=10)


def test_late_try_is_followed_by_a_longer_pause() -> None:
    schedule = RetrySchedule()
    ends, late = schedule.end_of(NOW), NOW + timedelta(seconds=200)
    assert schedule.next_try(late, ends=ends) == late + timedelta(seconds=200)


def test_first_pause_can_be_shorter() -> None:
    assert pauses_of(RetrySchedule(first_pause=timedelta(seconds=1)))[:5] == [1, 1, 2, 4, 8]
