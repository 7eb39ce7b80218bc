"""InMemoryWorkerReports: the workers' reports in a dictionary."""

import threading
from datetime import datetime

from common.domain.worker_report import WorkerReport
from tests.fakes.outage import Outage


class InMemoryWorkerReports(Outage):
    """WorkerReports for tests. `published` contains every report, oldest first."""

    def __init__(self) -> None:
        self._reports: dict[str, WorkerReport] = {}
        self.published: list[WorkerReport] = []
        self.anything_published = threading.Event()
        self.reads = 0

    def publish(self, report: WorkerReport) -> None:
        self._check()
        self._reports[report.worker_id] = report
        self.published.append(report)
        self.anything_published.set()

    def alive(self, now: datetime) -> tuple[WorkerReport, ...]:
        self._check()
        self.reads += 1
        return tuple(report for report in self._reports.values() if report.is_alive(now))

    def latest(self, model: str, *, limit: int) -> tuple[WorkerReport, ...]:
        self._check()
        knowing = [
            report for report in self._reports.values() if model in {times.model for times in report.times}
        ]
        return tuple(sorted(knowing, key=lambda report: report.alive_until, reverse=True)[:limit])
