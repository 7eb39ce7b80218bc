"""Usage of deleted tasks, which is kept so that usage reports stay complete."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from common.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """The usage of one deleted task."""

    user_id: str
    day: date
    """In UTC: when the task reached its terminal state, or was deleted before."""
    gpu_seconds: float
    wasted_gpu_seconds: float
    expires_at: datetime
    """The expiry of a task that finished in the last moment of the day."""

    @classmethod
    def of_deleted(cls, task: Task, now: datetime) -> "UsageEntry":
        """Return the entry of a task that is deleted now.

        An attempt in progress counts as of its latest heartbeat.
        """
        day = (task.finished_at or now).astimezone(UTC).date()
        usage = task.usage_with_claim.closed()
        return cls(
            user_id=task.user_id,
            day=day,
            gpu_seconds=usage.gpu_seconds or 0.0,
            wasted_gpu_seconds=usage.wasted_gpu_seconds,
            expires_at=datetime.combine(day, time.min, tzinfo=UTC) + timedelta(days=1) + task.keep_for,
        )
