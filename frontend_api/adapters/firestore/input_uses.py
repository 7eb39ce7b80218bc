"""FirestoreInputUses: a query for tasks whose document lists an input."""

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.wire_formats.task_document import COLLECTION


class FirestoreInputUses:
    """The InputUses of production and, through the emulator, of the local stack."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._tasks = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def is_used(self, object_name: str) -> bool:
        query = self._tasks.where(filter=FieldFilter("inputs", "array_contains", object_name))
        with translated_errors():
            return bool(query.select(()).limit(1).get(**self._calls))
