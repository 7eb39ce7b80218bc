"""FirestoreTaskCounts: counts tasks with Firestore aggregation queries (one read per 1,000 tasks)."""

from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.domain.task import TaskStatus
from common.wire_formats.task_document import COLLECTION

_ACTIVE = [status.value for status in TaskStatus if not status.is_terminal]


class FirestoreTaskCounts:
    """The TaskCounts of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """Count the caller's active tasks.

        Filters by equality only, so that Firestore merges single-field indexes.
        """
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        return self._counted(own.where(filter=FieldFilter("status", "in", _ACTIVE)), at_most)

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """Count the caller's recent submissions.

        Ordered by newest first, so that the index of the caller's task list serves the query.
        """
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        recent = own.where(filter=FieldFilter("created_at", ">=", since))
        newest_first = recent.order_by("created_at", direction=firestore.Query.DESCENDING)
        return self._counted(newest_first, at_most)

    def queued(self, at_most: int) -> int:
        waiting = self._tasks.where(filter=FieldFilter("status", "==", TaskStatus.QUEUED.value))
        return self._counted(waiting, at_most)

    def _counted(self, query: Any, at_most: int) -> int:
        with translated_errors():
            ((result,),) = query.limit(at_most).count().get(**self._calls)
        return int(result.value)
