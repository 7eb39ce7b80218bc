"""FirestoreSecretRotations: a document `webhook_secret_rotations/{owner}` per caller who rotated."""

from datetime import datetime
from typing import Any

from google.cloud import firestore

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain, user_key
from frontend_api.webhooks.ports import Rotations

_COLLECTION = "webhook_secret_rotations"


class FirestoreSecretRotations:
    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._callers = client.collection(_COLLECTION)
        self._timeout = timeout_seconds
        self._calls = repeatable_within(timeout_seconds)

    def of(self, user_id: str) -> Rotations:
        with translated_errors():
            snapshot = self._document(user_id).get(**self._calls)
        if not snapshot.exists:
            return Rotations()
        return Rotations(count=snapshot.get("count"), last_at=plain(snapshot.get("last_at")))

    def add(self, user_id: str, now: datetime) -> Rotations:
        counted = {"count": firestore.Increment(1), "last_at": now, "user_id": user_id}
        with translated_errors():
            # retry=None: when the first increment succeeded without a response, a retry would
            # rotate twice and invalidate the previous secret.
            self._document(user_id).set(counted, merge=True, retry=None, timeout=self._timeout)
        return self.of(user_id)

    def _document(self, user_id: str) -> Any:
        return self._callers.document(user_key(user_id))
