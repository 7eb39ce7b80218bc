"""FirestoreQueueGauge: measures the queue with Firestore aggregation queries (one read per 1,000
tasks).
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from common.domain.task import Lane, TaskStatus
from common.wire_formats.task_document import COLLECTION
from frontend_api.adapters.firestore.dead_letter_archive import COLLECTION as DEAD_LETTERS
from frontend_api.stats.backlog import ActiveTask, Backlog, Work
from frontend_api.stats.queue_gauge import QueueLine

_MOST_SECONDS_BEFORE_SUBMISSION = 2.0
"""Timeout of calls that a submission waits for.

A submission continues without them when Firestore is slow.
"""
_ACTIVE_FIELDS = ("model", "lane", "status", "work_units")


class FirestoreQueueGauge:
    """The QueueGauge of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._tasks = client.collection(COLLECTION)
        self._dead_letters = client.collection(DEAD_LETTERS)
        self._calls = repeatable_within(timeout_seconds)
        self._brief_calls = repeatable_within(min(timeout_seconds, _MOST_SECONDS_BEFORE_SUBMISSION))

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
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
        queued = self._tasks_of(model, TaskStatus.QUEUED)
        return self._counted(queued.where(filter=FieldFilter("queued_at", "<", moment)).order_by("queued_at"))

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        queued, processing = (
            self._tasks_of(model, status) for status in (TaskStatus.QUEUED, TaskStatus.PROCESSING)
        )
        queued = queued.where(filter=FieldFilter("queued_at", "<", queued_before))
        return Backlog(queued=self._work_by_lane(queued), processing=self._work_by_lane(processing))

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        unfinished = [status.value for status in TaskStatus if not status.is_terminal]
        query = self._tasks.where(filter=FieldFilter("status", "in", unfinished))
        return self._listed(query.select(_ACTIVE_FIELDS).limit(at_most))

    def statuses(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Return the statuses of the given tasks.

        Reads documents by name: the cost does not depend on the number of stored tasks.
        """
        documents = [self._tasks.document(task_id) for task_id in task_ids]
        with translated_errors():
            found = list(self._client.get_all(documents, ["status"], **self._brief_calls))
        return {document.id: TaskStatus(document.get("status")) for document in found if document.exists}

    def dead_letters(self) -> int:
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

    def _listed(self, query: Any) -> tuple[ActiveTask, ...]:
        with translated_errors():
            found = query.get(**self._brief_calls)
        return tuple(_active_task(document) for document in found)

    def _oldest(self, query: Any) -> datetime | None:
        with translated_errors():
            found = query.select(["queued_at"]).limit(1).get(**self._calls)
        if not found:
            return None
        oldest: datetime = plain(found[0].get("queued_at"))
        return oldest


def _active_task(document: Any) -> ActiveTask:
    fields = document.to_dict()
    return ActiveTask(
        id=document.id,
        model=fields["model"],
        lane=Lane(fields["lane"]),
        status=TaskStatus(fields["status"]),
        units=float(fields.get("work_units") or 0.0),
    )
