"""Which failures are retried, and after what delay."""

from datetime import datetime, timezone

import pytest

from darkroom.retrying import RetryPolicy, retry_after_seconds


@pytest.mark.parametrize(
    ("failures", "retry_after", "chance", "pause"),
    [
        *((failures, None, 1.0, pause) for failures, pause in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 8.0), 1)),
        (7, None, 1.0, None),
        (2, None, 0.0, 0.5),
        (1, 7.0, 1.0, 7.0),
        (4, 0.0, 1.0, 4.0),
        (1, 60.0, 1.0, 60.0),
        (1, 61.0, 1.0, None),
    ],
)
def test_pause_doubles_has_jitter_and_follows_retry_after(
    failures: int, retry_after: float | None, chance: float, pause: float | None
) -> None:
    policy = RetryPolicy(max_retries=6, chance=lambda: chance)
    assert policy.pause_seconds(failures, retry_after) == pause


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
