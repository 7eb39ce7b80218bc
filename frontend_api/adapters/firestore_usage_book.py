"""FirestoreUsageBook: totals by one aggregation query each: a count and two sums over the same index."""

from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import translated_errors, tried_again_within
from common.wire_formats.task_document import COLLECTION
from frontend_api.ports import UsageTotals


class FirestoreUsageBook:
    """The UsageBook of production and, through the emulator, of the local stack. Safe to share between threads."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._calls: dict[str, Any] = {
            "retry": tried_again_within(timeout_seconds),
            "timeout": timeout_seconds,
        }

    def totals_of(self, user_id: str, *, ended_from: datetime, ended_before: datetime) -> UsageTotals:
        """See UsageBook.totals_of."""
        ended: Any = (
            self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
            .where(filter=FieldFilter("finished_at", ">=", ended_from))
            .where(filter=FieldFilter("finished_at", "<", ended_before))
            .order_by("finished_at")
        )
        return self._added_up(
            ended.count(alias="tasks")
            .sum("usage.gpu_seconds", alias="gpu_seconds")
            .sum("usage.wasted_gpu_seconds", alias="wasted_gpu_seconds")
        )

    def _added_up(self, aggregation: Any) -> UsageTotals:
        with translated_errors():
            (results,) = aggregation.get(**self._calls)
        found = {result.alias: result.value for result in results}
        return UsageTotals(
            tasks=int(found["tasks"]),
            gpu_seconds=float(found["gpu_seconds"]),
            wasted_gpu_seconds=float(found["wasted_gpu_seconds"]),
        )
