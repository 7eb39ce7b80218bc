"""Minutes are grouped into buckets."""

from datetime import UTC, datetime, timedelta

import pytest

from frontend_api.clock_minute import MINUTE
from frontend_api.history.minutes import Bucket, Minute, bucket_minutes, bucket_start, bucketed
from frontend_api.operations.response_counts import ResponseShare
from tests.unit.frontend_api.history.samples import minute_sample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_bucket_has_maxima_averages_and_sums() -> None:
    minutes = {
        NOON: Minute(sample=minute_sample(queued=7, workers=2), responses=ResponseShare(all=10, failed=1)),
        NOON + MINUTE: Minute(sample=minute_sample(oldest_seconds=90.0, workers=1, failed=2)),
        NOON + 2 * MINUTE: Minute(responses=ResponseShare(all=5, failed=5)),
    }
    assert bucketed(minutes, 5) == (
        Bucket(
            start=NOON,
            measured_minutes=2,
            queued=7,
            oldest_seconds=90.0,
            processing=2,
            workers=1.5,
            completed=8,
            failed=3,
            cancelled=0,
            gpu_seconds=60.5,
            wasted_gpu_seconds=3.0,
            responses=15,
            failed_responses=6,
        ),
    )


def test_bucket_without_a_sample_has_only_counts_of_responses() -> None:
    (bucket,) = bucketed({NOON: Minute(responses=ResponseShare(all=2, failed=2))}, 1)
    assert (bucket.measured_minutes, bucket.responses, bucket.failed_responses) == (0, 2, 2)
    assert bucket.queued is bucket.workers is bucket.completed is bucket.gpu_seconds is None


def test_buckets_are_sorted_and_empty_ones_are_omitted() -> None:
    at = (NOON + 14 * MINUTE, NOON + 10 * MINUTE, NOON + 9 * MINUTE, NOON - MINUTE)
    starts = [bucket.start for bucket in bucketed(dict.fromkeys(at, Minute()), 5)]
    assert starts == [NOON - 5 * MINUTE, NOON + 5 * MINUTE, NOON + 10 * MINUTE]


@pytest.mark.parametrize("hours", range(1, 25))
def test_hours_have_at_most_97_buckets(hours: int) -> None:
    size, until = bucket_minutes(hours), NOON + 59 * MINUTE
    since = bucket_start(until - timedelta(hours=hours), size)
    minutes = {since + number * MINUTE: Minute() for number in range((until - since) // MINUTE)}
    assert len(bucketed(minutes, size)) <= 97
