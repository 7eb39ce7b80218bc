"""InMemoryTaskFlow: arrivals and outcomes, counted over an InMemoryTaskStore."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task, TaskStatus
from frontend_api.usage.totals import UsageTotals
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryTaskFlow:
    """A TaskFlow for tests, which counts the calls of each method."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()
        self.unavailable = False

    def arrived(self, model: str, *, since: datetime) -> int:
        self._check("arrived")
        tasks = self._store.all_tasks
        return sum(task.parameters.model == model and task.queued_at >= since for task in tasks)

    def ended(self, model: str, *, since: datetime) -> int:
        self._check("ended")
        return sum(task.parameters.model == model for task in self._ended(since))

    def totals(self, status: TaskStatus, *, since: datetime) -> UsageTotals:
        self._check("totals")
        tasks = [task for task in self._ended(since) if task.status is status]
        return UsageTotals(
            tasks=len(tasks),
            gpu_seconds=sum(task.usage.gpu_seconds or 0.0 for task in tasks),
            wasted_gpu_seconds=sum(task.usage.wasted_gpu_seconds for task in tasks),
        )

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        self._check("failure_codes")
        failed = [
            task.failure.code
            for task in self._ended(since)
            if task.failure and task.status is TaskStatus.FAILED
        ]
        return Counter(failed[:at_most])

    def _ended(self, since: datetime) -> list[Task]:
        ended = [(task.finished_at, task) for task in self._store.all_tasks]
        lately = [(at, task) for at, task in ended if at is not None and at >= since]
        return [task for _, task in sorted(lately, key=lambda one: one[0])]

    def _check(self, asked: str) -> None:
        self.asked[asked] += 1
        if self.unavailable:
            raise DependencyUnavailableError("firestore")
