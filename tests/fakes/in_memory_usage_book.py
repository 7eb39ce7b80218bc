"""InMemoryUsageBook: totals over an InMemoryTaskStore."""

from datetime import datetime

from common.domain.errors import DependencyUnavailableError
from frontend_api.ports import UsageTotals
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class InMemoryUsageBook:
    """A UsageBook for tests."""

    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store
        self.unavailable = False

    def totals_of(self, user_id: str, *, ended_from: datetime, ended_before: datetime) -> UsageTotals:
        if self.unavailable:
            raise DependencyUnavailableError("firestore")
        usage = [
            task.usage
            for task in self._store.all_tasks
            if task.user_id == user_id
            and task.finished_at is not None
            and ended_from <= task.finished_at < ended_before
        ]
        return UsageTotals(
            tasks=len(usage),
            gpu_seconds=sum(one.gpu_seconds or 0.0 for one in usage),
            wasted_gpu_seconds=sum(one.wasted_gpu_seconds for one in usage),
        )
