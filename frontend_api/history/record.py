"""Store the figures of each minute: the scheduler's call, and the response counts of a process."""

import threading
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.task import TaskStatus
from common.ports import Clock, WorkerReports
from frontend_api.clock_minute import MINUTE, minute_of
from frontend_api.history.minutes import MinuteSample
from frontend_api.history.ports import MinuteHistory
from frontend_api.operations.alerts import spent_seconds
from frontend_api.operations.response_counts import ResponseCounts
from frontend_api.stats.ports import TaskStats

_log = structlog.get_logger(__name__)
_TERMINAL = tuple(status for status in TaskStatus if status.is_terminal)


class RecordMinute:
    """Safe to call at any time, also in parallel."""

    def __init__(
        self, *, history: MinuteHistory, stats: TaskStats, reports: WorkerReports, clock: Clock
    ) -> None:
        self._history = history
        self._stats = stats
        self._reports = reports
        self._clock = clock
        self._recorded: datetime | None = None

    def __call__(self) -> datetime:
        """Store the last complete minute, unless this process has stored it. Return its start.

        The numbers of waiting tasks and of workers are those of the call. Raises
        DependencyUnavailableError.
        """
        now = self._clock.now()
        start = minute_of(now) - MINUTE
        if start != self._recorded:
            self._history.record(start, self._measured(start, now))
            self._recorded = start
        return start

    def _measured(self, start: datetime, now: datetime) -> MinuteSample:
        """Measure with 7 count queries and a read of each worker's report."""
        line = self._stats.line(None, completed_since=start)
        finished = {
            status: self._stats.totals(status, since=start, before=start + MINUTE) for status in _TERMINAL
        }
        spent = spent_seconds(finished)
        oldest = line.oldest_queued_at
        return MinuteSample(
            queued=line.queued,
            oldest_seconds=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
            processing=line.processing,
            workers=len(self._reports.alive(now)),
            completed=finished[TaskStatus.COMPLETED].tasks,
            failed=finished[TaskStatus.FAILED].tasks,
            cancelled=finished[TaskStatus.CANCELLED].tasks,
            gpu_seconds=spent.gpu_seconds,
            wasted_gpu_seconds=spent.wasted_gpu_seconds,
        )


class RecordResponses:
    """Counts the responses of this process, and stores each minute after its end. Thread-safe.

    The first response of a later minute starts the write. A failed write is repeated then, so that
    the history also contains the responses of an outage of the store.
    """

    def __init__(
        self, *, counts: ResponseCounts, history: MinuteHistory, writer: Executor, clock: Clock
    ) -> None:
        """`writer` is one thread."""
        self._counts = counts
        self._history = history
        self._writer = writer
        self._clock = clock
        self._lock = threading.Lock()
        self._tried_in = minute_of(clock.now())
        self._stored: datetime | None = None
        """The latest stored minute."""

    def add(self, status: int) -> None:
        self._counts.add(status)
        now = minute_of(self._clock.now())
        with self._lock:
            is_due = self._tried_in != now
            self._tried_in = now
        if is_due:
            with suppress(RuntimeError):  # the process is ending
                self._writer.submit(self._store)

    def _store(self) -> None:
        over = self._counts.of_complete_minutes(after=self._stored)
        if not over:
            return
        try:
            self._history.add_responses(over)
        except DependencyUnavailableError as error:
            _log.warning("response_counts_not_stored", minutes=len(over), reason=error.code)
        else:
            self._stored = max(over)
