"""Read the workload: measured in the store and remembered for a moment, for every submission asks for it."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.model_catalog import ModelCatalog
from common.domain.task import Lane, Task
from common.domain.worker_report import WorkerReport
from common.ports import Clock, WorkerReports
from frontend_api.ports import QueueGauge
from frontend_api.workload import Work, Workload

_log = structlog.get_logger(__name__)
_GOOD_FOR = timedelta(seconds=2)
_TASKS_PER_READ = 1_000
"""So many more make it dearer by a read, as Firestore counts them, and less changed by what a second brings."""
_AT_MOST_GOOD_FOR = timedelta(seconds=10)
_USABLE_FOR = timedelta(seconds=15)
"""Somebody in a hurry takes one as old as this while a new one is being measured."""
_PAUSE_AFTER_OUTAGE = timedelta(seconds=5)
_FORMER_WORKERS = 3
"""Of each model that nobody knows who is alive: one to go by, and a few more for what became of predictions."""

_Arrivals = defaultdict[str, defaultdict[Lane, Work]]


def _no_arrivals() -> _Arrivals:
    return defaultdict(lambda: defaultdict(Work))


class ReadWorkload:
    """The use case. Safe to share between threads."""

    def __init__(
        self, *, catalog: ModelCatalog, gauge: QueueGauge, reports: WorkerReports, clock: Clock
    ) -> None:
        self._models = tuple(spec.name for spec in catalog.models)
        self._gauge = gauge
        self._reports = reports
        self._clock = clock
        self._measuring = threading.Lock()
        self._lock = threading.Lock()
        self._latest: Workload | None = None
        self._arrivals = _no_arrivals()
        """What this process has stored since the latest measurement began; others are seen by the next one."""
        self._arrivals_meanwhile = _no_arrivals()
        """The same since the one began that is under way, which looks at nothing that was queued later."""
        self._measuring_as_of: datetime | None = None
        self._failed_at = clock.now() - _PAUSE_AFTER_OUTAGE

    def __call__(self) -> Workload:
        """The workload, or that of some seconds ago. Raises DependencyUnavailableError."""
        latest = self._latest
        if latest is None:
            with self._measuring:
                if self._latest is None:
                    self._measure()
        # Whoever comes while somebody measures takes what there is.
        elif not self._is_younger(latest, _good_for(latest)) and self._measuring.acquire(blocking=False):
            try:
                self._measure()
            finally:
                self._measuring.release()
        return self._with_arrivals()

    def at_once(self) -> Workload | None:
        """For those who must not wait for it, nor fail for want of it: a recent one, None when none can be had.

        Only the first to ask after a pause waits for a measurement.
        """
        latest = self._latest
        if latest is None or not self._is_younger(latest, _USABLE_FOR):
            return self._measured_for_want_of_any()
        if (
            not self._is_younger(latest, _good_for(latest))
            and self._may_try()
            and self._measuring.acquire(blocking=False)
        ):
            threading.Thread(target=self._measure_and_let_go, name="workload", daemon=True).start()
        return self._with_arrivals()

    def note_queued(self, task: Task) -> None:
        """A task was stored: it waits, though no measurement has seen it yet."""
        model, lane, work = task.parameters.model, task.lane, Work.of(task)
        with self._lock:
            self._arrivals[model][lane] += work
            if self._measuring_as_of is not None and task.queued_at >= self._measuring_as_of:
                self._arrivals_meanwhile[model][lane] += work

    def _measured_for_want_of_any(self) -> Workload | None:
        if not self._may_try():
            return None
        try:
            return self()
        except DependencyUnavailableError as error:
            self._note_failure(error)
            return None

    def _measure_and_let_go(self) -> None:
        try:
            self._measure()
        except DependencyUnavailableError as error:
            self._note_failure(error)
        finally:
            self._measuring.release()

    def _measure(self) -> None:
        """The caller holds `_measuring`."""
        with self._lock:
            now = self._measuring_as_of = self._clock.now()
            self._arrivals_meanwhile = _no_arrivals()
        backlog = partial(self._gauge.backlog, queued_before=now)
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="workload") as pool:
            reports = pool.submit(self._reports.alive, now)
            backlogs = dict(zip(self._models, pool.map(backlog, self._models), strict=True))
            measured = Workload(as_of=now, measured=backlogs, workers=reports.result())
            unknown = [model for model in self._models if not measured.times_of(model)]
            former = pool.map(partial(self._reports.latest, limit=_FORMER_WORKERS), unknown)
            measured = replace(measured, former_workers=_latest_first(chain.from_iterable(former)))
        with self._lock:
            self._latest, self._arrivals = measured, self._arrivals_meanwhile
            self._arrivals_meanwhile, self._measuring_as_of = _no_arrivals(), None

    def _with_arrivals(self) -> Workload:
        with self._lock:
            latest = self._latest
            if latest is None:
                raise DependencyUnavailableError("firestore", "the workload was not measured yet")
            arrivals = {model: dict(lanes) for model, lanes in self._arrivals.items()}
        return replace(latest, arrivals=arrivals) if arrivals else latest

    def _note_failure(self, error: DependencyUnavailableError) -> None:
        self._failed_at = self._clock.now()
        _log.warning("workload_not_measured", reason=error.code)

    def _may_try(self) -> bool:
        return self._clock.now() - self._failed_at >= _PAUSE_AFTER_OUTAGE

    def _is_younger(self, workload: Workload, age: timedelta) -> bool:
        return self._clock.now() - workload.as_of < age


def _good_for(workload: Workload) -> timedelta:
    """The longer the backlog the longer: two seconds, and two more for each read that measuring it takes."""
    backlogs = workload.measured.values()
    tasks = sum(backlog.all_queued.tasks + backlog.all_processing.tasks for backlog in backlogs)
    return min(_GOOD_FOR * (1 + tasks // _TASKS_PER_READ), _AT_MOST_GOOD_FOR)


def _latest_first(reports: Iterable[WorkerReport]) -> tuple[WorkerReport, ...]:
    """Each worker once."""
    by_id = {report.worker_id: report for report in reports}
    return tuple(sorted(by_id.values(), key=lambda report: report.alive_until, reverse=True))
