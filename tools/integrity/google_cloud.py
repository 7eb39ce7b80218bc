"""The documents and objects of a deployment in Firestore and Cloud Storage, or in their emulators."""

from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_transient_error
from google.cloud import firestore, storage

from common.adapters.firestore_task_store import decoded_snapshot
from common.wire_formats.task_document import COLLECTION
from common.wire_formats.versions import UndecodableError
from tools.integrity.deployment import DatedObject, Document, Parts, object_of

_PAGE = 300
_RETRY = Retry(predicate=if_transient_error, timeout=120)


class GoogleCloudContents:
    """Reads every document once, and every object completely."""

    def __init__(self, documents: firestore.Client, objects: storage.Client, *, bucket: str) -> None:
        self._tasks = documents.collection(COLLECTION)
        self._bucket = objects.bucket(bucket)

    def documents(self) -> Iterator[Document]:
        query = self._tasks.order_by("__name__").limit(_PAGE)
        page = query.get(retry=_RETRY)
        while page:
            yield from map(_document, page)
            page = query.start_after({"__name__": page[-1].reference}).get(retry=_RETRY)

    def objects(self) -> Iterator[DatedObject]:
        return self._objects_below("tasks/")

    def parts(self, task_id: str) -> Parts:
        snapshot = self._tasks.document(task_id).get(retry=_RETRY)
        return Parts(
            task_id=task_id,
            document=_document(snapshot) if snapshot.exists else None,
            objects=tuple(self._objects_below(f"tasks/{task_id}/")),
        )

    def _objects_below(self, prefix: str) -> Iterator[DatedObject]:
        for blob in self._bucket.list_blobs(prefix=prefix):
            try:
                content = blob.download_as_bytes()
            except google_errors.NotFound:
                continue  # deleted since it was listed
            yield DatedObject(stored=object_of(blob.name, content, blob.content_type), at=blob.time_created)


def _document(snapshot: Any) -> Document:
    try:
        return Document(task_id=snapshot.id, task=decoded_snapshot(snapshot))
    except UndecodableError:
        return Document(task_id=snapshot.id, task=None)
