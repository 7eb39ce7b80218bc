"""FirestoreShares: links as documents `shares/{id}`. The security rules deny browsers access.

Each document has a seal, because workers have write access to the collection, too (ADR 41). A
document without a valid seal counts as no share. `expires_at` is the collection's TTL field
(`firestore.indexes.json`).
"""

from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from frontend_api.adapters.firestore.sealed_documents import SealedDocuments
from frontend_api.record_seal import RecordSeal
from frontend_api.shares.share import Share, ShareNotFoundError, is_share_id

COLLECTION = "shares"
_FIELDS = tuple(Share.__dataclass_fields__)
_MOST_LISTED = 1_000
"""Far above the number of links that one task may have."""


class FirestoreShares:
    def __init__(self, client: firestore.Client, *, seal: RecordSeal, timeout_seconds: float) -> None:
        self._seals = SealedDocuments(seal=seal, record="share", refusal="share_refused")
        self._shares = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)
        self._timeout = timeout_seconds

    def add(self, share: Share) -> None:
        document = self._seals.with_seal({name: getattr(share, name) for name in _FIELDS})
        with translated_errors():
            # retry=None: after a create without a response, a retry would report a conflict.
            self._shares.document(share.id).create(document, retry=None, timeout=self._timeout)

    def get(self, share_id: str) -> Share:
        with translated_errors():
            snapshot = self._document(share_id).get(**self._calls)
        if not snapshot.exists or not self._seals.accepts(snapshot):
            raise ShareNotFoundError(share_id)
        return _decoded(snapshot)

    def list_for(self, task_id: str) -> tuple[Share, ...]:
        with translated_errors():
            found = self._of_task(task_id).get(**self._calls)
        shares = [_decoded(each) for each in found if self._seals.accepts(each)]
        return tuple(sorted(shares, key=lambda share: (share.created_at, share.id), reverse=True))

    def delete(self, share_id: str) -> None:
        with translated_errors():
            self._document(share_id).delete(**self._calls)

    def delete_all_of(self, task_id: str) -> None:
        with translated_errors():
            for snapshot in self._of_task(task_id).select(()).get(**self._calls):
                snapshot.reference.delete(**self._calls)

    def _of_task(self, task_id: str) -> Any:
        return self._shares.where(filter=FieldFilter("task_id", "==", task_id)).limit(_MOST_LISTED)

    def _document(self, share_id: str) -> Any:
        """Refuse ids that no share can have: they could be the path of another document."""
        if not is_share_id(share_id):
            raise ShareNotFoundError(share_id[:64])
        return self._shares.document(share_id)


def _decoded(snapshot: Any) -> Share:
    document = plain(snapshot.to_dict())
    return Share(**{name: document[name] for name in _FIELDS})
