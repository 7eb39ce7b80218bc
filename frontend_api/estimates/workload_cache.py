"""The workload, measured in the store and cached for about a second.

Every submission needs it. The cache follows arrivals and finished tasks as follows:

- This process adds each task that it stores.
- A submission or an estimate first checks the statuses of the cached tasks, while they are few. It
  reads their documents by name. Checks are limited so that they read at most 20 documents a second.
- A small number of tasks is listed again by one query after a second. A large number is summed by
  aggregation queries, at longer intervals the more tasks there are.
"""

import enum
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.models.catalog import ModelCatalog
from common.domain.task import Task
from common.domain.worker_report import WorkerReport
from common.ports import Clock, WorkerReports
from frontend_api.estimates.active_tasks import MAX_LISTED, ActiveTasks
from frontend_api.estimates.workload import Workload
from frontend_api.stats.ports import TaskStats

_log = structlog.get_logger(__name__)
_TTL = timedelta(seconds=1)
_EARLY = timedelta(seconds=0.25)
"""A call this long before a measurement expires starts the next one in the background."""
_TASKS_PER_READ = 1_000
"""Firestore charges one read per this many counted tasks.

Above it, one second changes the backlog little in proportion.
"""
_TTL_PER_READ = timedelta(seconds=2)
_MAX_TTL = timedelta(seconds=10)
_USABLE_FOR = timedelta(seconds=15)
"""A measurement up to this age is used while the store is unavailable."""
_SHORTEST_BETWEEN_CHECKS = timedelta(seconds=0.1)
_BETWEEN_CHECKS_PER_TASK = timedelta(seconds=1 / 20)
_WORKERS_TTL = timedelta(seconds=2)
_PAUSE_AFTER_OUTAGE = timedelta(seconds=5)
_LONGEST_WAIT_SECONDS = 0.25
"""Maximum wait for a measurement that another thread has begun."""
_FORMER_WORKERS = 3
"""Per model that no live worker has measured: one for its times, the others for calibration."""

_Workers = tuple[tuple[WorkerReport, ...], tuple[WorkerReport, ...]]
"""The live workers, and for each model that none of them has measured, the latest that have."""


class _Due(enum.Enum):
    NOTHING = enum.auto()
    CHECK = enum.auto()
    """Check the statuses of the cached tasks."""
    MEASUREMENT = enum.auto()
    MEASUREMENT_IN_BACKGROUND = enum.auto()


class WorkloadCache:
    """Safe to share between threads."""

    def __init__(
        self, *, catalog: ModelCatalog, stats: TaskStats, reports: WorkerReports, clock: Clock
    ) -> None:
        self._models = tuple(spec.name for spec in catalog.models)
        self._stats = stats
        self._reports = reports
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="workload-query")
        self._measuring = threading.Lock()
        self._lock = threading.Lock()
        self._tasks = ActiveTasks(self._models)
        self._workers: _Workers = ((), ())
        self._workers_as_of: datetime | None = None
        self._measured_at: datetime | None = None
        """When the latest measurement began."""
        self._as_of: datetime | None = None
        """When the latest measurement or check began."""
        self._stored_meanwhile: dict[str, Task] | None = None
        """Tasks that this process has stored since the running measurement began."""
        self._failed_at = clock.now() - _PAUSE_AFTER_OUTAGE
        self._failures = 0

    def __call__(self, *, checked: bool = False) -> Workload:
        """Return the workload, at most a second old, or older while many tasks are queued.

        `checked` also drops finished tasks, while there are few. Raises DependencyUnavailableError.
        """
        self._refresh(checked=checked, waits=True)
        return self._workload()

    def latest(self, *, checked: bool = False) -> Workload | None:
        """Return the same, or None when the store is unavailable.

        With a long backlog, only the first caller after a pause waits for a measurement.
        """
        if self._clock.now() - self._failed_at >= _PAUSE_AFTER_OUTAGE:
            try:
                self._refresh(checked=checked, waits=False)
            except DependencyUnavailableError as error:
                self._record_failure(error)
        return self._workload() if self._is_younger(_USABLE_FOR) else None

    def add_queued(self, task: Task) -> None:
        """Count a task that this process has stored."""
        with self._lock:
            self._tasks.add(task)
            if self._stored_meanwhile is not None:
                self._stored_meanwhile[task.id] = task

    # ── when to read ─────────────────────────────────────────────────────────────────────────────────────

    def _refresh(self, *, checked: bool, waits: bool) -> None:
        due, failures = self._due(checked=checked, waits=waits), self._failures
        if due is _Due.MEASUREMENT_IN_BACKGROUND:
            if self._measuring.acquire(blocking=False):
                threading.Thread(target=self._measure_and_unlock, name="workload", daemon=True).start()
        elif due is not _Due.NOTHING and self._acquired():
            try:
                due = self._due(checked=checked, waits=waits)  # another thread may have been faster
                if self._failures > failures and due is not _Due.NOTHING:
                    # Otherwise each thread that waits would repeat the measurement, one after the other.
                    raise DependencyUnavailableError("firestore", "the workload could not be measured")
                self._read(due)
            finally:
                self._measuring.release()

    def _acquired(self) -> bool:
        """Acquire the measuring lock.

        Without any measurement, callers wait without a limit; an old one is better than a long wait.
        """
        return self._measuring.acquire(timeout=-1 if self._measured_at is None else _LONGEST_WAIT_SECONDS)

    def _due(self, *, checked: bool, waits: bool) -> _Due:
        with self._lock:
            count, is_listed = self._tasks.count, self._tasks.is_listed
        ttl = _ttl(count)
        # A long backlog takes longer to measure: a steady flow of callers must not wait for it.
        grace = timedelta(0) if is_listed or waits else _TTL
        if not self._is_younger(ttl + grace):
            return _Due.MEASUREMENT
        between_checks = max(_SHORTEST_BETWEEN_CHECKS, count * _BETWEEN_CHECKS_PER_TASK)
        was_just_read = self._as_of is not None and self._clock.now() - self._as_of < between_checks
        if checked and is_listed and count and not was_just_read:
            return _Due.CHECK
        if not self._is_younger(ttl - _EARLY):
            return _Due.MEASUREMENT_IN_BACKGROUND
        return _Due.NOTHING

    def _is_younger(self, age: timedelta) -> bool:
        return self._measured_at is not None and self._clock.now() - self._measured_at < age

    def _record_failure(self, error: DependencyUnavailableError) -> None:
        self._failed_at = self._clock.now()
        _log.warning("workload_not_measured", reason=error.code)

    # ── reading; the caller holds `_measuring` ───────────────────────────────────────────────────────────

    def _measure_and_unlock(self) -> None:
        try:
            self._measure()
        except DependencyUnavailableError as error:
            self._record_failure(error)
        finally:
            self._measuring.release()

    def _read(self, due: _Due) -> None:
        try:
            if due is _Due.CHECK:
                self._check()
            elif due is _Due.MEASUREMENT:
                self._measure()
        except DependencyUnavailableError:
            self._failures += 1
            raise

    def _check(self) -> None:
        now = self._clock.now()
        with self._lock:
            ids = self._tasks.ids
        statuses = self._stats.statuses(ids)
        with self._lock:
            self._tasks.check(ids, statuses)
            self._as_of = now

    def _measure(self) -> None:
        with self._lock:
            now = self._clock.now()
            is_listed = self._tasks.count <= MAX_LISTED
            self._stored_meanwhile = {}
        try:
            workers = self._pool.submit(self._read_workers, now)
            known = self._list() if is_listed else None
            known = known or self._sum(now)
            workers.result()
        except BaseException:
            with self._lock:
                self._stored_meanwhile = None
            raise
        with self._lock:
            for task in self._stored_meanwhile.values():
                # Of many tasks, the sums include only those queued before the measurement began.
                if known.is_listed or task.queued_at >= now:
                    known.add(task)
            self._tasks, self._stored_meanwhile = known, None
            self._measured_at = self._as_of = now

    def _list(self) -> ActiveTasks | None:
        """List the tasks one by one; None when there are too many."""
        found = self._stats.active(at_most=MAX_LISTED + 1)
        return ActiveTasks.listed(self._models, found) if len(found) <= MAX_LISTED else None

    def _sum(self, now: datetime) -> ActiveTasks:
        backlogs = self._pool.map(partial(self._stats.backlog, queued_before=now), self._models)
        return ActiveTasks.summed(dict(zip(self._models, backlogs, strict=True)))

    def _read_workers(self, now: datetime) -> None:
        if self._workers_as_of is not None and now - self._workers_as_of < _WORKERS_TTL:
            return
        alive = self._reports.alive(now)
        known = {times.model for worker in alive for times in worker.times}
        unknown = (name for name in self._models if name not in known)
        former = _latest_first(
            chain.from_iterable(self._reports.latest(name, limit=_FORMER_WORKERS) for name in unknown)
        )
        self._workers, self._workers_as_of = (alive, former), now

    def _workload(self) -> Workload:
        with self._lock:
            if self._as_of is None:
                raise DependencyUnavailableError("firestore", "the workload was not measured yet")
            alive, former = self._workers
            return Workload(
                as_of=self._as_of,
                measured=self._tasks.measured,
                arrivals=self._tasks.arrivals,
                workers=alive,
                former_workers=former,
            )


def _ttl(tasks: int) -> timedelta:
    """Return one second, or two seconds per read if counting the tasks takes several reads."""
    reads = 1 + tasks // _TASKS_PER_READ
    return _TTL if reads == 1 else min(_TTL_PER_READ * reads, _MAX_TTL)


def _latest_first(reports: Iterable[WorkerReport]) -> tuple[WorkerReport, ...]:
    """Sort the reports, latest first, each worker once."""
    by_id = {report.worker_id: report for report in reports}
    return tuple(sorted(by_id.values(), key=lambda report: report.alive_until, reverse=True))
