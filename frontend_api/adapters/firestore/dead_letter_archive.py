"""FirestoreDeadLetterArchive: documents `dead_letters/{id}`, which browsers may not access.

`body` and `attributes` are not indexed and `expires_at` is the collection's TTL field
(`firestore.indexes.json`).
"""

import json
from datetime import datetime
from typing import Any

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from common.ports import InvalidPageTokenError
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadLetterNotFoundError, is_letter_id
from frontend_api.dead_letters.ports import DeadLetterPage

COLLECTION = "dead_letters"
_ALL_BUT_THE_BODY = [name for name in DeadLetter.__dataclass_fields__ if name != "body"]
_BATCH_SIZE = 400
"""Firestore accepts at most 500 writes per commit."""


class FirestoreDeadLetterArchive:
    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._letters = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)
        self._timeout = timeout_seconds

    def add(self, letter: DeadLetter) -> bool:
        with translated_errors():
            try:
                self._letters.document(letter.id).create(_encoded(letter), **self._calls)
            except google_errors.AlreadyExists:
                return False
        return True

    def get(self, letter_id: str) -> DeadLetter:
        with translated_errors():
            snapshot = self._document(letter_id).get(**self._calls)
        if not snapshot.exists:
            raise DeadLetterNotFoundError(letter_id)
        return _decoded(snapshot)

    def list_page(self, *, page_size: int, page_token: str | None = None) -> DeadLetterPage:
        """Return a page of letters. The page token is the id of the last letter."""
        query = self._letters.select(_ALL_BUT_THE_BODY).order_by("id", direction=firestore.Query.DESCENDING)
        if page_token is not None:
            if not is_letter_id(page_token):
                raise InvalidPageTokenError("this page token was not made here")
            query = query.start_after({"id": page_token})
        with translated_errors():
            snapshots = query.limit(page_size + 1).get(**self._calls)
        letters = tuple(_decoded(snapshot) for snapshot in snapshots)
        page, more = letters[:page_size], len(letters) > page_size
        return DeadLetterPage(letters=page, next_page_token=page[-1].id if more else None)

    def record_replay(self, letter_id: str, now: datetime) -> None:
        with translated_errors():
            try:
                self._document(letter_id).update({"replayed_at": now}, **self._calls)
            except google_errors.NotFound as exc:
                raise DeadLetterNotFoundError(letter_id) from exc

    def delete(self, letter_id: str) -> None:
        exists = self._client.write_option(exists=True)
        with translated_errors():
            try:
                # retry=None: when the first delete succeeded without a response, a retry would
                # report that the letter does not exist.
                self._document(letter_id).delete(option=exists, retry=None, timeout=self._timeout)
            except google_errors.NotFound as exc:
                raise DeadLetterNotFoundError(letter_id) from exc

    def purge(self, *, died_before: datetime, limit: int) -> int:
        query = self._letters.where(filter=FieldFilter("died_at", "<", died_before)).order_by("died_at")
        deleted = 0
        while deleted < limit:
            with translated_errors():
                names = query.select(()).limit(min(_BATCH_SIZE, limit - deleted)).get(**self._calls)
                batch = self._client.batch()
                for snapshot in names:
                    batch.delete(snapshot.reference)
                batch.commit(**self._calls)
            deleted += len(names)
            if len(names) < _BATCH_SIZE:
                break
        return deleted

    def _document(self, letter_id: str) -> Any:
        """Refuse ids that no letter can have: they could be the path of another document."""
        if not is_letter_id(letter_id):
            raise DeadLetterNotFoundError(letter_id[:64])
        return self._letters.document(letter_id)


def _encoded(letter: DeadLetter) -> dict[str, Any]:
    fields = {name: getattr(letter, name) for name in DeadLetter.__dataclass_fields__}
    # As text: Pub/Sub permits attribute names that Firestore refuses.
    return {**fields, "attributes": json.dumps(dict(letter.attributes))}


def _decoded(snapshot: Any) -> DeadLetter:
    document = {"body": b"", **snapshot.to_dict()}
    fields = {name: plain(document[name]) for name in DeadLetter.__dataclass_fields__}
    return DeadLetter(**{**fields, "attributes": json.loads(document["attributes"])})
