"""FirestoreTaskStats: counts tasks with Firestore aggregation queries (one read per 1,000 tasks)."""

from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from common.domain.task import Lane, TaskStatus
from common.wire_formats.task_document import COLLECTION
from frontend_api.adapters.firestore.dead_letter_archive import COLLECTION as DEAD_LETTERS
from frontend_api.adapters.firestore.usage_book import stored_totals, usage_of
from frontend_api.stats.backlog import ActiveTask, Backlog, Work, WorkOfCaller
from frontend_api.stats.ports import QueueLine
from frontend_api.usage.ports import UsageTotals

_MOST_SECONDS_BEFORE_SUBMISSION = 2.0
"""Timeout of calls that a submission waits for.

A submission continues without them when Firestore is slow.
"""
_ACTIVE_FIELDS = ("model", "lane", "status", "work_units")
_ACTIVE = tuple(status for status in TaskStatus if not status.is_terminal)
_TERMINAL = tuple(status for status in TaskStatus if status.is_terminal)


class FirestoreTaskStats:
    """The TaskStats of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._tasks = client.collection(COLLECTION)
        self._dead_letters = client.collection(DEAD_LETTERS)
        self._calls = repeatable_within(timeout_seconds)
        self._brief_calls = repeatable_within(min(timeout_seconds, _MOST_SECONDS_BEFORE_SUBMISSION))

    def line(self, model: str | None, *, completed_since: datetime) -> QueueLine:
        queued = self._with_status(TaskStatus.QUEUED, model=model)
        completed = _since(
            self._with_status(TaskStatus.COMPLETED, model=model), "finished_at", completed_since
        )
        return QueueLine(
            queued=self._count(queued),
            oldest_queued_at=self._oldest(queued),
            processing=self._count(self._with_status(TaskStatus.PROCESSING, model=model)),
            completed_lately=self._count(completed),
        )

    def queued(self, *, at_most: int) -> int:
        return self._count(self._with_status(TaskStatus.QUEUED).limit(at_most))

    def queued_before(self, model: str, moment: datetime) -> int:
        queued = self._with_status(TaskStatus.QUEUED, model=model)
        return self._count(queued.where(filter=FieldFilter("queued_at", "<", moment)).order_by("queued_at"))

    def backlog(self, model: str, *, queued_before: datetime) -> Backlog:
        queued = self._with_status(TaskStatus.QUEUED, model=model).where(
            filter=FieldFilter("queued_at", "<", queued_before)
        )
        processing = self._with_status(TaskStatus.PROCESSING, model=model)
        return Backlog(queued=self._work_by_lane(queued), processing=self._work_by_lane(processing))

    def active(self, *, at_most: int) -> tuple[ActiveTask, ...]:
        query = self._with_status(*_ACTIVE).select(_ACTIVE_FIELDS).limit(at_most)
        return tuple(_active_task(snapshot) for snapshot in self._get(query, **self._brief_calls))

    def statuses(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Return the statuses of the given tasks.

        Reads documents by name: the cost does not depend on the number of stored tasks.
        """
        documents = [self._tasks.document(task_id) for task_id in task_ids]
        with translated_errors():
            found = list(self._client.get_all(documents, ["status"], **self._brief_calls))
        return {document.id: TaskStatus(document.get("status")) for document in found if document.exists}

    def dead_letters(self) -> int:
        return self._count(self._dead_letters)

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """Count the caller's active tasks.

        Filters by equality only, so that Firestore merges single-field indexes.
        """
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        return self._count(_with_status(own, *_ACTIVE).limit(at_most))

    def work_of(self, user_id: str, models: Collection[str]) -> dict[str, WorkOfCaller]:
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        active = _with_status(own, *_ACTIVE)

        def work(model: str) -> WorkOfCaller:
            of_model = active.where(filter=FieldFilter("model", "==", model))
            sums = self._aggregate(usage_of(of_model).sum("work_units", alias="units"))
            used = stored_totals(sums)
            return WorkOfCaller(
                units=float(sums["units"]), used_gpu_seconds=used.gpu_seconds + used.wasted_gpu_seconds
            )

        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="work-of-caller") as pool:
            return dict(zip(models, pool.map(work, models), strict=True))

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """Count the caller's recent submissions.

        Ordered by newest first, so that the index of the caller's task list serves the query.
        """
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        recent = own.where(filter=FieldFilter("created_at", ">=", since))
        newest_first = recent.order_by("created_at", direction=firestore.Query.DESCENDING)
        return self._count(newest_first.limit(at_most))

    def arrived(self, model: str, *, since: datetime) -> int:
        # Filters by status although it names all of them: an index that starts with a timestamp
        # would write all new entries to one range (a hotspot).
        return self._count(_since(self._with_status(*TaskStatus, model=model), "queued_at", since))

    def finished(self, model: str, *, since: datetime) -> int:
        return self._count(_since(self._with_status(*_TERMINAL, model=model), "finished_at", since))

    def totals(self, status: TaskStatus, *, since: datetime, before: datetime | None = None) -> UsageTotals:
        finished = _since(self._with_status(status), "finished_at", since)
        if before is not None:
            finished = finished.where(filter=FieldFilter("finished_at", "<", before))
        return stored_totals(self._aggregate(usage_of(finished)))

    def failure_codes(self, *, since: datetime, at_most: int) -> Mapping[str, int]:
        failed = _since(self._with_status(TaskStatus.FAILED), "finished_at", since)
        found = self._get(failed.select(["failure.code"]).limit(at_most), **self._calls)
        return Counter(str(snapshot.get("failure.code")) for snapshot in found)

    def _with_status(self, *statuses: TaskStatus, model: str | None = None) -> Any:
        tasks: Any = self._tasks
        if model is not None:
            tasks = tasks.where(filter=FieldFilter("model", "==", model))
        return _with_status(tasks, *statuses)

    def _work_by_lane(self, tasks: Any) -> dict[Lane, Work]:
        return {lane: self._work(tasks.where(filter=FieldFilter("lane", "==", lane.value))) for lane in Lane}

    def _work(self, tasks: Any) -> Work:
        sums = self._aggregate(tasks.count(alias="tasks").sum("work_units", alias="units"))
        return Work(tasks=int(sums["tasks"]), units=float(sums["units"]))

    def _oldest(self, queued: Any) -> datetime | None:
        found = self._get(queued.order_by("queued_at").select(["queued_at"]).limit(1), **self._calls)
        return plain(found[0].get("queued_at")) if found else None

    def _count(self, query: Any) -> int:
        return int(self._aggregate(query.count(alias="count"))["count"])

    def _aggregate(self, aggregation: Any) -> Mapping[str, Any]:
        with translated_errors():
            (results,) = aggregation.get(**self._calls)
        return {result.alias: result.value for result in results}

    def _get(self, query: Any, **calls: Any) -> list[Any]:
        with translated_errors():
            return list(query.get(**calls))


def _with_status(tasks: Any, *statuses: TaskStatus) -> Any:
    names = [status.value for status in statuses]
    if len(names) == 1:
        return tasks.where(filter=FieldFilter("status", "==", names[0]))
    return tasks.where(filter=FieldFilter("status", "in", names))


def _since(tasks: Any, field: str, since: datetime) -> Any:
    return tasks.where(filter=FieldFilter(field, ">=", since)).order_by(field)


def _active_task(document: Any) -> ActiveTask:
    fields = document.to_dict()
    return ActiveTask(
        id=document.id,
        model=fields["model"],
        lane=Lane(fields["lane"]),
        status=TaskStatus(fields["status"]),
        units=float(fields.get("work_units") or 0.0),
    )
