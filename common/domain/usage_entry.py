"""UsageEntry: what a deleted task had cost. It outlives the task, so that nobody's costs go away with a picture."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from common.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """One deleted task in the usage book."""

    user_id: str
    day: date
    """In UTC: when the task ended, by itself or by being deleted."""
    gpu_seconds: float
    wasted_gpu_seconds: float
    expires_at: datetime
    """When a task that had ended in the day's last moment would expire."""

    @classmethod
    def of_deleted(cls, task: Task, now: datetime) -> "UsageEntry":
        """The entry of a task that is deleted now; an attempt in progress counts as of its latest heartbeat."""
        day = (task.finished_at or now).astimezone(UTC).date()
        usage = task.usage_if_ended
        return cls(
            user_id=task.user_id,
            day=day,
            gpu_seconds=usage.gpu_seconds or 0.0,
            wasted_gpu_seconds=usage.wasted_gpu_seconds,
            expires_at=datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=1) + task.keep_for,
        )
