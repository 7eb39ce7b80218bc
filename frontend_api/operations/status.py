"""Read the state of the whole system for its operators."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from common.domain.task import TaskStatus
from common.ports import Clock
from common.shared_values import AlertLimits
from frontend_api.cache import Cached
from frontend_api.estimates.workload import Workload
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.health.readiness import CheckReadiness
from frontend_api.operations.alerts import Alert, AlertEvaluation
from frontend_api.operations.response_counts import ResponseCounts
from frontend_api.stats.ports import Lately, TaskStats
from frontend_api.stats.queue import QueueState, ReadQueue
from frontend_api.usage.ports import UsageTotals

MOST_FAILURES = 500
"""Maximum number of failed tasks whose codes are counted: each is one document read."""
HALF_HOUR, HOUR = timedelta(minutes=30), timedelta(hours=1)
_TTL = timedelta(seconds=10)
"""Counts over an hour change slowly and cost more than counts of the queue."""
_ENDINGS = tuple(status for status in TaskStatus if status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemState:
    queue: QueueState
    workload: Workload
    lately: Lately
    alerts: tuple[Alert, ...]


class ReadOperations:
    """Reads the operators' overview. Safe to share between threads."""

    def __init__(
        self,
        *,
        read_queue: ReadQueue,
        workload_cache: WorkloadCache,
        stats: TaskStats,
        limits: AlertLimits,
        readiness: CheckReadiness,
        responses: ResponseCounts,
        clock: Clock,
    ) -> None:
        self._read_queue = read_queue
        self._readiness = readiness
        self._responses = responses
        self._read_workload = workload_cache
        self._stats = stats
        self._limits = limits
        self._lately = Cached(self._measured, ttl=_TTL, clock=clock)

    def __call__(self) -> SystemState:
        """Return the state of the whole system.

        The queue and the workers are at most two seconds old, the counts of finished tasks ten.
        Raises DependencyUnavailableError.
        """
        queue, workload, lately = self._read_queue(), self._read_workload(), self._lately()
        alerts = AlertEvaluation(
            limits=self._limits,
            as_of=queue.as_of,
            lines=queue.by_model,
            workload=workload,
            dead_letters=queue.dead_letters,
            lately=lately,
            dependencies=self._readiness(),
            responses=self._responses.lately(),
        )
        return SystemState(queue=queue, workload=workload, lately=lately, alerts=tuple(alerts))

    def _measured(self, now: datetime) -> Lately:
        half_an_hour_ago, an_hour_ago = now - HALF_HOUR, now - HOUR
        crowded = self._crowded()
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="task-flow") as pool:
            codes = pool.submit(self._stats.failure_codes, since=an_hour_ago, at_most=MOST_FAILURES)
            growth = pool.map(partial(self._growth, since=half_an_hour_ago), crowded)
            return Lately(
                half_hour=self._totals(pool, (TaskStatus.COMPLETED, TaskStatus.FAILED), half_an_hour_ago),
                hour=self._totals(pool, _ENDINGS, an_hour_ago),
                failure_codes=codes.result(),
                growth=dict(zip(crowded, growth, strict=True)),
            )

    def _totals(
        self, pool: ThreadPoolExecutor, statuses: Iterable[TaskStatus], since: datetime
    ) -> dict[TaskStatus, UsageTotals]:
        statuses = tuple(statuses)
        return dict(zip(statuses, pool.map(partial(self._stats.totals, since=since), statuses), strict=True))

    def _crowded(self) -> tuple[str, ...]:
        """Return the models with more queued tasks than the limit: only their growth is counted."""
        lines = self._read_queue().by_model
        return tuple(model for model, line in lines.items() if line.queued > self._limits.waiting_tasks)

    def _growth(self, model: str, *, since: datetime) -> int:
        return self._stats.arrived(model, since=since) - self._stats.finished(model, since=since)
