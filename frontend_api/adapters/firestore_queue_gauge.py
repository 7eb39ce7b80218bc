"""FirestoreQueueGauge: the queue by Firestore's aggregation queries, which cost one read for a thousand tasks."""

from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from common.domain.task import Lane, TaskStatus
from common.wire_formats.task_document import COLLECTION
from frontend_api.adapters.firestore_dead_letter_archive import COLLECTION as DEAD_LETTERS
from frontend_api.ports import QueueLine
from frontend_api.workload import Backlog, Work


class FirestoreQueueGauge:
    """The QueueGauge of production and, through the emulator, of the local stack. Safe to share between threads."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._dead_letters = client.collection(DEAD_LETTERS)
        self._calls = repeatable_within(timeout_seconds)

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        """See QueueGauge.line."""
        queued = self._tasks_of(model, TaskStatus.QUEUED)
        completed = self._tasks_of(model, TaskStatus.COMPLETED)
        lately = completed.where(filter=FieldFilter("finished_at", ">=", completed_since))
        return QueueLine(
            queued=self._counted(queued),
            oldest_queued_at=self._oldest(queued.order_by("queued_at")),
            processing=self._counted(self._tasks_of(model, TaskStatus.PROCESSING)),
            completed_lately=self._counted(lately.order_by("finished_at")),
        )

    def queued_before(self, model: str, moment: datetime) -> int:
        """See QueueGauge.queued_before."""
        queued = self._tasks_of(model, TaskStatus.QUEUED)
        return self._counted(queued.where(filter=FieldFilter("queued_at", "<", moment)).order_by("queued_at"))

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        """See QueueGauge.backlog."""
        queued, processing = (
            self._tasks_of(model, status) for status in (TaskStatus.QUEUED, TaskStatus.PROCESSING)
        )
        queued = queued.where(filter=FieldFilter("queued_at", "<", queued_before))
        return Backlog(queued=self._work_by_lane(queued), processing=self._work_by_lane(processing))

    def dead_letters(self) -> int:
        """See QueueGauge.dead_letters."""
        return self._counted(self._dead_letters)

    def _tasks_of(self, model: str | None, status: TaskStatus) -> Any:
        query = self._tasks.where(filter=FieldFilter("status", "==", status.value))
        return query if model is None else query.where(filter=FieldFilter("model", "==", model))

    def _work_by_lane(self, tasks: Any) -> dict[Lane, Work]:
        of_lane = {lane: tasks.where(filter=FieldFilter("lane", "==", lane.value)) for lane in Lane}
        return {
            lane: self._added_up(some.count(alias="tasks").sum("work_units", alias="units"))
            for lane, some in of_lane.items()
        }

    def _added_up(self, aggregation: Any) -> Work:
        with translated_errors():
            (results,) = aggregation.get(**self._calls)
        found = {result.alias: result.value for result in results}
        return Work(tasks=int(found["tasks"]), units=float(found["units"]))

    def _counted(self, query: Any) -> int:
        with translated_errors():
            ((result,),) = query.count().get(**self._calls)
        return int(result.value)

    def _oldest(self, query: Any) -> datetime | None:
        with translated_errors():
            found = query.select(["queued_at"]).limit(1).get(**self._calls)
        if not found:
            return None
        oldest: datetime = plain(found[0].get("queued_at"))
        return oldest
