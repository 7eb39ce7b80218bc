"""FirestoreUsageBook: usage per day, summed over stored tasks, plus the sums of deleted tasks."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters import firestore_usage_entries
from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.wire_formats.task_document import COLLECTION
from frontend_api.usage.ports import NO_USAGE, UsageTotals

_QUERIES_AT_ONCE = 2
"""Of one report: all reports that run at once share the connection to Firestore with other requests."""


class FirestoreUsageBook:
    """The UsageBook of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._tasks = client.collection(COLLECTION)
        self._entries = client.collection(firestore_usage_entries.COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def totals_of(self, user_id: str, days: Sequence[date]) -> tuple[UsageTotals, ...]:
        """Return the totals per day. All queries read at the snapshot time of the first one."""
        deleted, as_of = self._of_deleted(user_id, days)

        def totals_on(day: date) -> UsageTotals:
            return self._added_up(self._ended_on(user_id, day), as_of) + deleted.get(day, NO_USAGE)

        if len(days) == 1:  # as a quota asks
            return (totals_on(days[0]),)
        # Threads of this report only: in a shared pool, it would wait for the reports of other callers.
        with ThreadPoolExecutor(_QUERIES_AT_ONCE, thread_name_prefix="usage") as pool:
            return tuple(pool.map(totals_on, days))

    def _of_deleted(self, user_id: str, days: Sequence[date]) -> tuple[Mapping[date, UsageTotals], datetime]:
        days_by_id = {firestore_usage_entries.document_id(user_id, day): day for day in days}
        documents = [self._entries.document(name) for name in days_by_id]
        with translated_errors():
            found = list(self._client.get_all(documents, **self._calls))
        # Every document read earlier was unchanged at the time of the last read.
        as_of = max(snapshot.read_time for snapshot in found)
        return {days_by_id[one.id]: stored_totals(one.to_dict() or {}) for one in found if one.exists}, as_of

    def _ended_on(self, user_id: str, day: date) -> Any:
        midnight = datetime.combine(day, time.min, tzinfo=UTC)
        ended: Any = (
            self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
            .where(filter=FieldFilter("finished_at", ">=", midnight))
            .where(filter=FieldFilter("finished_at", "<", midnight + timedelta(days=1)))
            .order_by("finished_at")
        )
        return usage_of(ended)

    def _added_up(self, aggregation: Any, as_of: datetime) -> UsageTotals:
        with translated_errors():
            (sums,) = aggregation.get(read_time=as_of, **self._calls)
        return stored_totals({one.alias: one.value for one in sums})


def usage_of(tasks: Any) -> Any:
    """Return the aggregation query that sums the costs of a query's tasks."""
    return (
        tasks.count(alias="tasks")
        .sum("usage.gpu_seconds", alias="gpu_seconds")
        .sum("usage.wasted_gpu_seconds", alias="wasted_gpu_seconds")
    )


def stored_totals(sums: Mapping[str, Any]) -> UsageTotals:
    """Parse sums by their field names, which are the same in queries and documents."""
    return UsageTotals(
        tasks=int(sums["tasks"]),
        gpu_seconds=float(sums["gpu_seconds"]),
        wasted_gpu_seconds=float(sums["wasted_gpu_seconds"]),
    )
