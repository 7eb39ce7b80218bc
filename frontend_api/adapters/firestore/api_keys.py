"""FirestoreApiKeys: API keys as documents `api_keys/{id}`. The security rules deny browsers access.

Each document has a seal, because workers have write access to the collection, too (ADR 41). A
document without a valid seal counts as no key. `last_used_at` is not sealed.

The hash is not indexed and `expires_at` is the collection's TTL field (`firestore.indexes.json`).
"""

from datetime import datetime
from typing import Any

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from frontend_api.adapters.firestore.sealed_documents import SealedDocuments
from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError, is_key_id
from frontend_api.identity.ports import Scope
from frontend_api.record_seal import RecordSeal

COLLECTION = "api_keys"
_MOST_LISTED = 1_000
"""Far above the number of keys that one caller may have."""


class FirestoreApiKeys:
    def __init__(self, client: firestore.Client, *, seal: RecordSeal, timeout_seconds: float) -> None:
        self._seals = SealedDocuments(
            seal=seal, record="api_key", refusal="api_key_refused", unsealed=frozenset({"last_used_at"})
        )
        self._keys = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)
        self._timeout = timeout_seconds

    def add(self, key: ApiKey) -> None:
        with translated_errors():
            # retry=None: after a create without a response, a retry would report a conflict.
            self._keys.document(key.id).create(
                self._seals.with_seal(_encoded(key)), retry=None, timeout=self._timeout
            )

    def get(self, key_id: str) -> ApiKey:
        with translated_errors():
            snapshot = self._document(key_id).get(**self._calls)
        if not snapshot.exists or not self._seals.accepts(snapshot):
            raise ApiKeyNotFoundError(key_id)
        return _decoded(snapshot)

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        query = self._keys.where(filter=FieldFilter("user_id", "==", user_id)).limit(_MOST_LISTED)
        with translated_errors():
            found = [_decoded(each) for each in query.get(**self._calls) if self._seals.accepts(each)]
        return tuple(sorted(found, key=lambda key: (key.created_at, key.id), reverse=True))

    def record_use(self, key: ApiKey, now: datetime) -> None:
        """Record the time of use. An update, not a set: it cannot restore a revoked key."""
        with translated_errors():
            try:
                self._document(key.id).update({"last_used_at": now}, **self._calls)
            except google_errors.NotFound as exc:
                raise ApiKeyNotFoundError(key.id) from exc

    def delete(self, key_id: str) -> None:
        with translated_errors():
            self._document(key_id).delete(**self._calls)

    def _document(self, key_id: str) -> Any:
        """Refuse ids that no key can have: they could be the path of another document."""
        if not is_key_id(key_id):
            raise ApiKeyNotFoundError(key_id[:64])
        return self._keys.document(key_id)


def _encoded(key: ApiKey) -> dict[str, Any]:
    fields = {name: getattr(key, name) for name in ApiKey.__dataclass_fields__}
    return {**fields, "scopes": sorted(scope.value for scope in key.scopes)}


def _decoded(snapshot: Any) -> ApiKey:
    document = snapshot.to_dict()
    # Keys of earlier versions have no `owner_email`.
    fields = {name: plain(document.get(name)) for name in ApiKey.__dataclass_fields__}
    # A scope that this version does not define grants no permission.
    known = {scope.value for scope in Scope}
    return ApiKey(
        **{**fields, "scopes": frozenset(Scope(name) for name in fields["scopes"] if name in known)}
    )
