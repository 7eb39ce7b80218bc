"""Quotas: limits of a caller's active tasks, GPU seconds and rates, and of the whole queue's length.

No counters are stored: the store counts the tasks themselves from time to time (see ApproximateCounter).
"""

import math
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from cachetools import LRUCache

from common.domain.task import Task
from common.ports import Clock
from frontend_api.clock_minute import MINUTE, minute_of, seconds_to_next_minute
from frontend_api.identity.request_rate import RequestRate
from frontend_api.quotas.allowance import Allowance, Limit, one, reserve
from frontend_api.quotas.approximate_counter import ApproximateCounter
from frontend_api.quotas.gpu_seconds import CallersGpuSeconds
from frontend_api.quotas.limits import (
    Policy,
    QueueFullError,
    QuotaExceededError,
    QuotaLimits,
    QuotaUse,
)
from frontend_api.stats.ports import TaskStats

_REQUESTS, _SUBMISSIONS, _REFUSED = "requests", "submissions", "refused-submissions"
_ACTIVE_TASKS, _ACTIVE_GPU, _DAILY_GPU = "active-tasks", "active-gpu-seconds", "daily-gpu-seconds"
_GPU_UNIT = "gpu-seconds"
_DAY = timedelta(days=1)
_MAX_CALLERS = 10_000
"""Maximum number of cached callers.

An evicted caller, like a new one, can take a tenth of each limit of tasks before the store counts again.
"""
_ACTIVE_RETRY_AFTER_SECONDS = 10
_LONGEST_RETRY_AFTER_SECONDS = 300
_QUEUE_RETRY_AFTER_SECONDS = 30
_GPU_RECOUNT_AFTER = timedelta(minutes=1)
"""Used GPU seconds differ from the predicted ones, and grow without a submission."""


@dataclass(slots=True, kw_only=True)
class _Caller:
    active: ApproximateCounter
    active_gpu: ApproximateCounter
    day: date
    daily_gpu: ApproximateCounter
    window: datetime
    submissions: ApproximateCounter


class Quotas:
    """The configured limits. Safe to share between threads."""

    def __init__(
        self,
        *,
        limits: QuotaLimits,
        stats: TaskStats,
        gpu_seconds: CallersGpuSeconds,
        requests: RequestRate,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._stats = stats
        self._gpu_seconds = gpu_seconds
        self._requests = requests
        self._rejections = RequestRate(limit=limits.refused_per_minute, clock=clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: MutableMapping[str, _Caller] = LRUCache(_MAX_CALLERS)
        self._queued = ApproximateCounter(
            limit=limits.queued_tasks, count=lambda at_most: stats.queued(at_most=at_most), clock=clock
        )

    @contextmanager
    def submission_of(self, task: Task, *, is_limited: bool = True) -> Iterator[None]:
        """Wrap the queueing of a new or retried task: it counts only if the block succeeds.

        Without `is_limited` it counts, but is never refused. Raises QuotaExceededError, QueueFullError,
        DependencyUnavailableError.
        """
        with one(self.submissions_of(task.user_id, [task], is_limited=is_limited)):
            yield

    def submissions_of(self, user_id: str, tasks: Sequence[Task], *, is_limited: bool = True) -> Allowance:
        """Reserve capacity for as many of these tasks as possible, in this order.

        Raises DependencyUnavailableError.
        """
        caller, count = self._caller(user_id), len(tasks)
        submissions = Limit(caller.submissions, (1,) * count, self._rate_exceeded)
        limits = (*self._work_limits(caller, tasks), submissions, self._queue_limit(count))
        return reserve(count, limits, is_limited=is_limited)

    def check_rejections(self, user_id: str) -> None:
        """Raise QuotaExceededError for a caller with too many rejected submissions in this minute.

        Call it before a body is parsed: a rejection costs processor time, and the other limits
        count only accepted tasks. Each process counts its own rejections.
        """
        limit = self._limits.refused_per_minute
        if limit and self._rejections.used(user_id) >= limit:
            raise QuotaExceededError(
                f"more than {limit} submissions were rejected within a minute; correct them before retrying",
                retry_after_seconds=self.seconds_to_next_minute(),
            )

    def count_rejected(self, user_id: str) -> None:
        """Count a request that this process rejected for its content."""
        self._rejections.take(user_id, 1)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The configured limits of each caller."""
        limits, minute = self._limits, MINUTE.seconds
        every = (
            Policy(name=_REQUESTS, limit=self._requests.limit, window_seconds=minute),
            Policy(name=_SUBMISSIONS, limit=limits.submissions_per_minute, window_seconds=minute),
            Policy(name=_REFUSED, limit=limits.refused_per_minute, window_seconds=minute),
            Policy(name=_ACTIVE_TASKS, limit=limits.active_tasks),
            Policy(name=_ACTIVE_GPU, limit=limits.active_gpu_seconds, unit=_GPU_UNIT),
            Policy(
                name=_DAILY_GPU,
                limit=limits.daily_gpu_seconds,
                window_seconds=int(_DAY.total_seconds()),
                unit=_GPU_UNIT,
            ),
        )
        return tuple(policy for policy in every if policy.limit)

    def uses(self, user_id: str) -> tuple[QuotaUse, ...]:
        """Return a caller's use of each limit, as far as this process has counted."""
        caller = self._caller(user_id)
        used = {
            _REQUESTS: self._requests.used(user_id),
            _SUBMISSIONS: caller.submissions.used,
            _REFUSED: self._rejections.used(user_id),
            _ACTIVE_TASKS: caller.active.used,
            _ACTIVE_GPU: caller.active_gpu.used,
            _DAILY_GPU: caller.daily_gpu.used,
        }
        return tuple(
            QuotaUse(policy=policy, used=used[policy.name], resets_in_seconds=self._resets_in(policy))
            for policy in self.policies
        )

    def counted_uses(self, user_id: str) -> tuple[QuotaUse, ...]:
        """Return the same after a count that is at most a second old.

        Raises DependencyUnavailableError.
        """
        caller = self._caller(user_id)
        for counter in (caller.active, caller.active_gpu, caller.daily_gpu, caller.submissions):
            if counter.limit:
                counter.refresh()
        return self.uses(user_id)

    def seconds_to_next_minute(self) -> int:
        """Return when the limits per minute start again."""
        return seconds_to_next_minute(self._clock.now())

    def _resets_in(self, policy: Policy) -> int | None:
        if policy.window_seconds is None:
            return None
        is_daily = policy.window_seconds > MINUTE.seconds
        return self._seconds_to_next_day() if is_daily else self.seconds_to_next_minute()

    def _seconds_to_next_day(self) -> int:
        now = self._clock.now().astimezone(UTC)
        next_day = datetime.combine(now.date() + _DAY, time.min, tzinfo=UTC)
        return math.ceil((next_day - now).total_seconds())

    # ── limits ───────────────────────────────────────────────────────────────────────────────────────────

    def _work_limits(self, caller: _Caller, tasks: Sequence[Task]) -> tuple[Limit, ...]:
        """Return the limits of what a caller's tasks need from the GPUs."""
        active = Limit(caller.active, (1,) * len(tasks), self._too_many_active)
        if not (self._limits.active_gpu_seconds or self._limits.daily_gpu_seconds):
            return (active,)
        seconds = tuple(map(self._gpu_seconds.of, tasks))
        return (
            active,
            Limit(caller.active_gpu, seconds, self._too_much_active),
            Limit(caller.daily_gpu, seconds, self._budget_exceeded),
        )

    def _queue_limit(self, count: int) -> Limit:
        return Limit(self._queued, (1,) * count, _queue_full)

    def _too_many_active(self, used: float, _: float) -> QuotaExceededError:
        return QuotaExceededError(
            f"at most {self._limits.active_tasks} tasks of one caller may be queued or processing, "
            f"and {used:.0f} are",
            retry_after_seconds=_ACTIVE_RETRY_AFTER_SECONDS,
        )

    def _too_much_active(self, used: float, needed: float) -> QuotaExceededError:
        limit = self._limits.active_gpu_seconds
        # One GPU needs this long to make room.
        wait = max(_ACTIVE_RETRY_AFTER_SECONDS, math.ceil(used + needed - limit))
        return QuotaExceededError(
            f"the queued and processing tasks of one caller may need at most {limit} GPU seconds; "
            f"they need about {used:.0f}, and this task about {needed:.0f} more",
            retry_after_seconds=min(wait, _LONGEST_RETRY_AFTER_SECONDS),
        )

    def _budget_exceeded(self, used: float, needed: float) -> QuotaExceededError:
        return QuotaExceededError(
            f"one caller may use at most {self._limits.daily_gpu_seconds} GPU seconds per day in UTC; "
            f"about {used:.0f} are used or needed by active tasks, and this task needs about {needed:.0f} more",
            retry_after_seconds=self._seconds_to_next_day(),
        )

    def _rate_exceeded(self, used: float, _: float) -> QuotaExceededError:
        return QuotaExceededError(
            f"at most {self._limits.submissions_per_minute} tasks of one caller may be submitted or retried "
            f"per minute, and {used:.0f} were",
            retry_after_seconds=self.seconds_to_next_minute(),
        )

    # ── callers ──────────────────────────────────────────────────────────────────────────────────────────

    def _caller(self, user_id: str) -> _Caller:
        now = self._clock.now()
        window, day = minute_of(now), now.astimezone(UTC).date()
        with self._lock:
            caller = self._callers.get(user_id)
            if caller is None:
                caller = _Caller(
                    active=self._active_count(user_id),
                    active_gpu=self._active_gpu_count(user_id),
                    day=day,
                    daily_gpu=self._daily_gpu_count(user_id, day),
                    window=window,
                    submissions=self._submission_count(user_id, window),
                )
                self._callers[user_id] = caller
            if caller.window != window:
                caller.window, caller.submissions = window, self._submission_count(user_id, window)
            if caller.day != day:
                caller.day, caller.daily_gpu = day, self._daily_gpu_count(user_id, day)
        return caller

    def _active_count(self, user_id: str) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.active_tasks,
            count=lambda at_most: self._stats.active_of(user_id, at_most=at_most),
            clock=self._clock,
        )

    def _active_gpu_count(self, user_id: str) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.active_gpu_seconds,
            count=lambda _: self._gpu_seconds.active(user_id),
            clock=self._clock,
            recount_after=_GPU_RECOUNT_AFTER,
        )

    def _daily_gpu_count(self, user_id: str, day: date) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.daily_gpu_seconds,
            count=lambda _: self._gpu_seconds.on(user_id, day),
            clock=self._clock,
            recount_after=_GPU_RECOUNT_AFTER,
        )

    def _submission_count(self, user_id: str, window: datetime) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.submissions_per_minute,
            count=lambda at_most: self._stats.submitted_by(user_id, since=window, at_most=at_most),
            clock=self._clock,
            # The store counts neither deleted tasks nor retries.
            counts_deleted=True,
        )


def _queue_full(_used: float, _needed: float) -> QuotaExceededError:
    return QueueFullError(
        "the queue has reached its maximum length; retry later",
        retry_after_seconds=_QUEUE_RETRY_AFTER_SECONDS,
    )
