"""QuotaLimits, and the errors of a reached limit."""

import math
from dataclasses import dataclass

from common.domain.errors import DomainError


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLimits:
    """0 means no limit."""

    active_tasks: int = 0
    """Queued or processing tasks of one caller."""
    active_gpu_seconds: int = 0
    """Predicted GPU seconds of these tasks."""
    daily_gpu_seconds: int = 0
    """GPU seconds of one caller per day in UTC."""
    submissions_per_minute: int = 0
    """Submissions of one caller per clock minute."""
    refused_per_minute: int = 0
    """Requests of one caller that each process rejects for their content, per clock minute."""
    queued_tasks: int = 0
    """Queued tasks of all callers."""


class QuotaExceededError(DomainError):
    code = "quota_exceeded"
    retryable = True

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(QuotaExceededError):
    code = "queue_full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A limit of each caller, as responses describe it."""

    name: str
    limit: int
    window_seconds: int | None = None
    """None: no window; what counts are the active tasks."""
    unit: str | None = None
    """None: requests or tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """How much of a limit one caller uses."""

    policy: Policy
    used: float
    resets_in_seconds: int | None = None
    """Until the window ends; None without one."""

    @property
    def remaining(self) -> int:
        """Rounded down."""
        return max(0, math.floor(self.policy.limit - self.used))
