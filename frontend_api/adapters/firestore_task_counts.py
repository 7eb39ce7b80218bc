"""FirestoreTaskCounts: counts by Firestore's aggregation queries, which cost one read for a thousand tasks."""

from datetime import datetime
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.domain.task import TaskStatus
from common.wire_formats.task_document import COLLECTION

_ACTIVE = [status.value for status in TaskStatus if not status.is_terminal]


class FirestoreTaskCounts:
    """The TaskCounts of production and, through the emulator, of the local stack. Safe to share between threads."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def active_of(self, user_id: str, *, at_most: int) -> int:
        """See TaskCounts.active_of. Equalities only: Firestore merges single-field indexes for it."""
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        return self._counted(own.where(filter=FieldFilter("status", "in", _ACTIVE)), at_most)

    def submitted_by(self, user_id: str, *, since: datetime, at_most: int) -> int:
        """See TaskCounts.submitted_by. Newest first, so that the index of the caller's list serves it."""
        own = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        recent = own.where(filter=FieldFilter("created_at", ">=", since))
        newest_first = recent.order_by("created_at", direction=firestore.Query.DESCENDING)
        return self._counted(newest_first, at_most)

    def queued(self, at_most: int) -> int:
        """See TaskCounts.queued."""
        waiting = self._tasks.where(filter=FieldFilter("status", "==", TaskStatus.QUEUED.value))
        return self._counted(waiting, at_most)

    def _counted(self, query: Any, at_most: int) -> int:
        with translated_errors():
            ((result,),) = query.limit(at_most).count().get(**self._calls)
        return int(result.value)
