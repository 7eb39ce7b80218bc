"""FirestoreTaskBatches: reads and writes many documents of the task store in one call."""

from collections.abc import Callable, Collection, Mapping, Sequence

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.protobuf.timestamp_pb2 import Timestamp

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_task_store import changed_fields, decoded_snapshot, with_revision
from common.adapters.firestore_writes import FirestoreWrites
from common.domain.errors import DependencyUnavailableError, DomainError, TaskAlreadyExistsError
from common.domain.task import Task
from common.wire_formats.task_document import COLLECTION, encode_task_document


class FirestoreTaskBatches:
    """The TaskBatches of production and, through the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._tasks = client.collection(COLLECTION)
        self._writes = FirestoreWrites(client, COLLECTION, timeout_seconds=timeout_seconds)
        self._calls = repeatable_within(timeout_seconds)

    def create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        creations = [self._writes.creation(task.id, encode_task_document(task)) for task in tasks]
        with translated_errors():
            outcomes = self._writes.each(creations)
        return tuple(_created(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True))

    def get(self, task_ids: Collection[str]) -> Mapping[str, Task]:
        references = [self._tasks.document(task_id) for task_id in task_ids]
        with translated_errors():
            snapshots = list(self._client.get_all(references, **self._calls))
        return {snapshot.id: decoded_snapshot(snapshot) for snapshot in snapshots if snapshot.exists}

    def update_unchanged(
        self, tasks: Sequence[Task], change: Callable[[Task], Task]
    ) -> tuple[Task | None, ...]:
        changed = [change(task) for task in tasks]
        writes = [
            self._writes.change(before.id, changed_fields(before, after), revision=before.revision or "")
            for before, after in zip(tasks, changed, strict=True)
        ]
        with translated_errors():
            outcomes = self._writes.each(writes)
        return tuple(
            with_revision(task, outcome) if isinstance(outcome, Timestamp) else None
            for task, outcome in zip(changed, outcomes, strict=True)
        )


def _created(task: Task, outcome: Timestamp | google_errors.GoogleAPICallError) -> Task | DomainError:
    if isinstance(outcome, google_errors.AlreadyExists):
        return TaskAlreadyExistsError(task.id)
    if isinstance(outcome, google_errors.GoogleAPICallError):
        return DependencyUnavailableError("firestore")
    return with_revision(task, outcome)
