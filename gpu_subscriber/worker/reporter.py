"""Regular reports of the worker's models and measured durations to the store.

They have a thread of their own, so that an unavailable store delays neither claims nor a drain.
"""

import threading
from datetime import timedelta

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.worker_report import WorkerReport
from common.ports import Clock, WorkerReports
from gpu_subscriber.attempt.timing_stats import TimingStats
from gpu_subscriber.engine.messages import EngineReady

_log = structlog.get_logger(__name__)
_ALIVE_FOR_INTERVALS = 3
"""A worker counts as dead after this many intervals without a report: one may fail, one be late."""
_KEPT_FOR = timedelta(days=7)
"""Retention of reports of dead workers, whose durations are used to estimate the backlog."""


class Reporter:
    """Reports every `interval_seconds` from the first EngineReady until `stop`, and a last time after it."""

    def __init__(
        self,
        *,
        worker_id: str,
        reports: WorkerReports,
        timing_stats: TimingStats,
        clock: Clock,
        interval_seconds: float,
    ) -> None:
        self._worker_id = worker_id
        self._reports = reports
        self._measured = timing_stats
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._engine: EngineReady | None = None
        self._deliveries = 0

    def engine_ready(self, engine: EngineReady, *, deliveries: int) -> None:
        """Store the engine's models and the number of concurrent deliveries, and report.

        Returns at once.
        """
        if engine.warm_up is not None:
            self._measured.warmed_up(engine.warm_up)
        self._deliveries, self._engine = deliveries, engine
        self._wake.set()

    def stop(self) -> None:
        """Report that the worker accepts no more deliveries, and end `run`. Returns at once."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Report until `stop`: the body of a side thread."""
        while not self._stopping:
            self._wake.wait(timeout=self._interval_seconds)
            self._wake.clear()
            if not self._stopping:
                self._report()
        self._report(leaving=True)

    def _report(self, *, leaving: bool = False) -> None:
        engine, now = self._engine, self._clock.now()
        if engine is None:
            return
        report = WorkerReport(
            worker_id=self._worker_id,
            models=engine.models,
            device=engine.device,
            slots=engine.slots,
            deliveries=self._deliveries,
            reported_at=now,
            alive_until=now + timedelta(seconds=_ALIVE_FOR_INTERVALS * self._interval_seconds),
            expires_at=now + _KEPT_FOR,
            times=self._measured.models,
            handling_seconds=self._measured.handling_seconds,
            predictions=self._measured.predictions,
            broken_models=engine.broken,
        )
        try:
            self._reports.publish(report.leaving(now) if leaving else report)
        except DependencyUnavailableError as error:
            _log.warning("worker_not_reported", reason=error.code)
