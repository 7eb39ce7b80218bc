"""The figures of a minute, and buckets of several minutes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from frontend_api.clock_minute import minute_of
from frontend_api.operations.response_counts import ResponseShare


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteSample:
    """Figures of the store, measured once the minute is over."""

    queued: int
    oldest_seconds: float
    """Age of the oldest queued task; 0 without a queued task."""
    processing: int
    workers: int
    completed: int
    """Like the next fields, the tasks that finished within the minute."""
    failed: int
    cancelled: int
    gpu_seconds: float
    wasted_gpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    sample: MinuteSample | None = None
    """None if no scheduler measured the minute."""
    responses: ResponseShare = field(default_factory=ResponseShare)
    """Of all processes of the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The figures of consecutive minutes. Without a measured minute, those of the store are None."""

    start: datetime
    measured_minutes: int
    queued: int | None
    """The highest value, as for `oldest_seconds`."""
    oldest_seconds: float | None
    processing: float | None
    """The average, as for `workers`."""
    workers: float | None
    completed: int | None
    failed: int | None
    cancelled: int | None
    gpu_seconds: float | None
    wasted_gpu_seconds: float | None
    responses: int
    failed_responses: int

    @classmethod
    def of(cls, start: datetime, minutes: list[Minute]) -> "Bucket":
        samples = [minute.sample for minute in minutes if minute.sample is not None]
        count = len(samples)
        return cls(
            start=start,
            measured_minutes=count,
            queued=max((one.queued for one in samples), default=None),
            oldest_seconds=max((one.oldest_seconds for one in samples), default=None),
            processing=sum(one.processing for one in samples) / count if samples else None,
            workers=sum(one.workers for one in samples) / count if samples else None,
            completed=sum(one.completed for one in samples) if samples else None,
            failed=sum(one.failed for one in samples) if samples else None,
            cancelled=sum(one.cancelled for one in samples) if samples else None,
            gpu_seconds=sum(one.gpu_seconds for one in samples) if samples else None,
            wasted_gpu_seconds=sum(one.wasted_gpu_seconds for one in samples) if samples else None,
            responses=sum(minute.responses.all for minute in minutes),
            failed_responses=sum(minute.responses.failed for minute in minutes),
        )


def bucket_minutes(hours: int) -> int:
    """Return the number of minutes per bucket: at most 96 buckets, each within one hour."""
    if hours == 1:
        return 1
    return 5 if hours <= 6 else 15


def bucketed(minutes: Mapping[datetime, Minute], size: int) -> tuple[Bucket, ...]:
    """Group the minutes into buckets of `size` minutes, the oldest first. Empty buckets are omitted."""
    groups: dict[datetime, list[Minute]] = {}
    for at in sorted(minutes):
        groups.setdefault(bucket_start(at, size), []).append(minutes[at])
    return tuple(Bucket.of(start, group) for start, group in groups.items())


def bucket_start(moment: datetime, size: int) -> datetime:
    return minute_of(moment).replace(minute=moment.minute // size * size)
