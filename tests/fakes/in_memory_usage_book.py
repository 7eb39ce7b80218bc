"""InMemoryUsageBook: totals over an InMemoryTaskStore and its deleted tasks."""

from collections.abc import Iterable, Sequence
from datetime import date

from common.domain.usage_entry import UsageEntry
from frontend_api.usage.ports import NO_USAGE, UsageTotals
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.outage import Outage


class InMemoryUsageBook(Outage):
    def __init__(self, store: InMemoryTaskStore) -> None:
        self._store = store

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        self._check()
        tasks, entries = self._store.tasks_and_usage_entries
        ended = [UsageEntry.of_deleted(task, task.finished_at) for task in tasks if task.finished_at]
        mine = [entry for entry in (*ended, *entries) if entry.user_id == user_id]
        return tuple(_added_up(entry for entry in mine if entry.day == day) for day in days)


def _added_up(entries: Iterable[UsageEntry]) -> UsageTotals:
    each = (
        UsageTotals(tasks=1, gpu_seconds=one.gpu_seconds, wasted_gpu_seconds=one.wasted_gpu_seconds)
        for one in entries
    )
    return sum(each, NO_USAGE)
