"""Quotas: limits of a caller's active tasks and submission rate, and of the whole queue's length.

No counters are stored: the store counts the tasks themselves from time to time (see ApproximateCounter).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cachetools import LRUCache

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.quotas.approximate_counter import ApproximateCounter
from frontend_api.stats.ports import TaskStats

WINDOW = timedelta(minutes=1)
_SUBMISSIONS, _REFUSED, _ACTIVE_TASKS = "submissions", "refused-submissions", "active-tasks"
_MAX_CALLERS = 10_000
"""Maximum number of cached callers.

An evicted caller, like a new one, can take a tenth of each limit before the store counts again.
"""
_ACTIVE_RETRY_AFTER_SECONDS = 10
_QUEUE_RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLimits:
    """0 means no limit."""

    active_tasks: int = 0
    """Queued or processing tasks of one caller."""
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


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    limit: int
    window_seconds: int | None = None
    """None: no window; what counts is the number of active tasks."""


@dataclass(slots=True, kw_only=True)
class _Caller:
    active: ApproximateCounter
    window: datetime
    submissions: ApproximateCounter
    refused: int = 0
    """Requests in this window that this process rejected for their content."""


class Quotas:
    """The configured limits. Safe to share between threads."""

    def __init__(self, *, limits: QuotaLimits, stats: TaskStats, clock: Clock) -> None:
        self._limits = limits
        self._stats = stats
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: MutableMapping[str, _Caller] = LRUCache(_MAX_CALLERS)
        queued = ApproximateCounter(
            limit=limits.queued_tasks, count=lambda at_most: stats.queued(at_most=at_most), clock=clock
        )
        self._queue: _Limit = (queued, _queue_full)

    @contextmanager
    def submission_of(self, user_id: str) -> Iterator[None]:
        """Wrap the storing of a new task: it counts only if the block succeeds.

        Raises QuotaExceededError, QueueFullError, DependencyUnavailableError.
        """
        with _one(self.submissions_of(user_id, 1)):
            yield

    @contextmanager
    def retry_of(self, user_id: str) -> Iterator[None]:
        """Wrap the queueing of a finished task: the same, without counting a submission."""
        caller = self._caller(user_id)
        with _one(_reserve(1, self._active(caller), self._queue)):
            yield

    def submissions_of(self, user_id: str, wanted: int) -> "Allowance":
        """Reserve capacity for up to `wanted` new tasks. Raises DependencyUnavailableError."""
        caller = self._caller(user_id)
        submissions = (caller.submissions, self._rate_exceeded)
        return _reserve(wanted, self._active(caller), submissions, self._queue)

    def check_rejections(self, user_id: str) -> None:
        """Raise QuotaExceededError for a caller with too many rejected submissions in this minute.

        Call it before a body is parsed: a rejection costs processor time, and the other limits
        count only accepted tasks. Each process counts its own rejections.
        """
        limit = self._limits.refused_per_minute
        if limit and self._caller(user_id).refused >= limit:
            raise QuotaExceededError(
                f"more than {limit} submissions were rejected within a minute; correct them before retrying",
                retry_after_seconds=self.seconds_to_next_window(),
            )

    def count_rejected(self, user_id: str) -> None:
        caller = self._caller(user_id)
        with self._lock:
            caller.refused += 1

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The configured limits of each caller."""
        every = (
            Policy(_SUBMISSIONS, self._limits.submissions_per_minute, WINDOW.seconds),
            Policy(_REFUSED, self._limits.refused_per_minute, WINDOW.seconds),
            Policy(_ACTIVE_TASKS, self._limits.active_tasks),
        )
        return tuple(policy for policy in every if policy.limit)

    def remaining(self, user_id: str) -> Mapping[str, int]:
        """Return a caller's remaining quota by policy, as far as this process has counted."""
        caller = self._caller(user_id)
        return {
            _SUBMISSIONS: caller.submissions.left,
            _REFUSED: max(0, self._limits.refused_per_minute - caller.refused),
            _ACTIVE_TASKS: caller.active.left,
        }

    def _active(self, caller: _Caller) -> "_Limit":
        return caller.active, self._too_many_active

    def _too_many_active(self) -> QuotaExceededError:
        return QuotaExceededError(
            f"at most {self._limits.active_tasks} tasks of one caller may be queued or processing",
            retry_after_seconds=_ACTIVE_RETRY_AFTER_SECONDS,
        )

    def _rate_exceeded(self) -> QuotaExceededError:
        return QuotaExceededError(
            f"at most {self._limits.submissions_per_minute} tasks of one caller may be submitted per minute",
            retry_after_seconds=self.seconds_to_next_window(),
        )

    def _caller(self, user_id: str) -> _Caller:
        window = self._window()
        with self._lock:
            caller = self._callers.get(user_id)
            if caller is None:
                caller = _Caller(
                    active=self._active_count(user_id),
                    window=window,
                    submissions=self._submission_count(user_id, window),
                )
                self._callers[user_id] = caller
            elif caller.window != window:
                caller.window, caller.submissions = window, self._submission_count(user_id, window)
                caller.refused = 0
        return caller

    def _active_count(self, user_id: str) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.active_tasks,
            count=lambda at_most: self._stats.active_of(user_id, at_most=at_most),
            clock=self._clock,
        )

    def _submission_count(self, user_id: str, window: datetime) -> ApproximateCounter:
        return ApproximateCounter(
            limit=self._limits.submissions_per_minute,
            count=lambda at_most: self._stats.submitted_by(user_id, since=window, at_most=at_most),
            clock=self._clock,
            counts_deleted=True,  # otherwise deleting tasks would allow more submissions
        )

    def _window(self) -> datetime:
        return self._clock.now().replace(second=0, microsecond=0)

    def seconds_to_next_window(self) -> int:
        """Return when the limits per minute start again."""
        return WINDOW.seconds - self._clock.now().second


def _queue_full() -> QuotaExceededError:
    return QueueFullError(
        "the queue has reached its maximum length; retry later",
        retry_after_seconds=_QUEUE_RETRY_AFTER_SECONDS,
    )


_Limit: TypeAlias = tuple[ApproximateCounter, Callable[[], QuotaExceededError]]
"""The counter of a limit, and its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Capacity reserved from the limits; must be settled, whether or not the tasks are stored."""

    granted: int
    refusal: QuotaExceededError | None
    """Why fewer tasks than wanted were granted."""
    counts: tuple[ApproximateCounter, ...]

    def settle(self, *, stored: int) -> None:
        """Keep the capacity of `stored` tasks and release the rest."""
        for count in self.counts:
            count.commit(stored)
            count.release(self.granted - stored)


def _reserve(wanted: int, *limits: _Limit) -> Allowance:
    allowance = Allowance(granted=wanted, refusal=None, counts=())
    try:
        for counter, refusal in limits:
            if not counter.limit:
                continue
            granted = counter.take(allowance.granted)
            for count in allowance.counts:
                count.release(allowance.granted - granted)
            allowance = Allowance(
                granted=granted,
                refusal=refusal() if granted < allowance.granted else allowance.refusal,
                counts=(*allowance.counts, counter),
            )
    except BaseException:
        allowance.settle(stored=0)
        raise
    return allowance


@contextmanager
def _one(allowance: Allowance) -> Iterator[None]:
    """Wrap the storing of one task."""
    if allowance.refusal is not None:
        raise allowance.refusal
    stored = 0
    try:
        yield
        stored = 1
    finally:
        allowance.settle(stored=stored)
