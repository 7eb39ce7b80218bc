"""FirestoreTaskFlow: counts tasks with aggregation queries; of failed tasks it reads only the error
code.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.domain.task import TaskStatus
from common.wire_formats.task_document import COLLECTION
from frontend_api.adapters.firestore.usage_sums import answered_totals, usage_of
from frontend_api.usage.totals import UsageTotals


class FirestoreTaskFlow:
    """The TaskFlow of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def arrived(self, model: str, *, since: datetime) -> int:
        return self._counted(_since(self._tasks_of(model, tuple(TaskStatus)), "queued_at", since))

    def ended(self, model: str, *, since: datetime) -> int:
        endings = tuple(status for status in TaskStatus if status.is_terminal)
        return self._counted(_since(self._tasks_of(model, endings), "finished_at", since))

    def totals(self, status: TaskStatus, *, since: datetime) -> UsageTotals:
        return self._added_up(usage_of(_since(self._tasks_with(status), "finished_at", since)))

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        failed = _since(self._tasks_with(TaskStatus.FAILED), "finished_at", since)
        return Counter(self._codes(failed.select(["failure.code"]).limit(at_most)))

    def _tasks_with(self, status: TaskStatus) -> Any:
        return self._tasks.where(filter=FieldFilter("status", "==", status.value))

    def _tasks_of(self, model: str, statuses: tuple[TaskStatus, ...]) -> Any:
        # Filters by status even if `statuses` lists all of them: an index that starts with a timestamp
        # would write all new entries to one range (a hotspot).
        names = [status.value for status in statuses]
        return self._tasks.where(filter=FieldFilter("model", "==", model)).where(
            filter=FieldFilter("status", "in", names)
        )

    def _counted(self, query: Any) -> int:
        with translated_errors():
            ((result,),) = query.count().get(**self._calls)
        return int(result.value)

    def _added_up(self, aggregation: Any) -> UsageTotals:
        with translated_errors():
            return answered_totals(aggregation.get(**self._calls))

    def _codes(self, query: Any) -> list[str]:
        with translated_errors():
            return [str(snapshot.get("failure.code")) for snapshot in query.get(**self._calls)]


def _since(tasks: Any, moment: str, since: datetime) -> Any:
    return tasks.where(filter=FieldFilter(moment, ">=", since)).order_by(moment)
