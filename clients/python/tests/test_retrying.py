"""Which failures are retried, and after what delay."""

from datetime import datetime, timezone

import pytest

from darkroom.retrying import RetryPolicy, retry_after_seconds

PLAIN = RetryPolicy(chance=lambda: 1.0)


def test_pauses_double_up_to_a_limit_and_end() -> None:
    patient = RetryPolicy(max_retries=6, chance=lambda: 1.0)
    pauses = [patient.pause_seconds(failures, None) for failures in range(1, 8)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, None]


def test_pauses_have_jitter() -> None:
    assert RetryPolicy(chance=lambda: 0.0).pause_seconds(2, None) == 0.5
    assert PLAIN.pause_seconds(2, None) == 1.0


def test_pause_is_at_least_retry_after() -> None:
    assert PLAIN.pause_seconds(1, 7.0) == 7.0
    assert PLAIN.pause_seconds(4, 0.0) == 4.0


def test_no_retry_when_retry_after_is_too_long() -> None:
    assert PLAIN.pause_seconds(1, 60.0) == 60.0
    assert PLAIN.pause_seconds(1, 61.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_parses_seconds_and_dates(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, datetime(2026, 1, 1, 12, tzinfo=timezone.utc)) == seconds
