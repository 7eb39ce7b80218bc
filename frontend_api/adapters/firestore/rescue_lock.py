"""FirestoreRescueLock: one document `turns/rescue`, which is only written conditionally."""

from datetime import datetime, timedelta
from typing import Any

from google.api_core import exceptions as google_errors
from google.cloud import firestore

from common.adapters.firestore_errors import CHANGED_MEANWHILE, translated_errors
from common.adapters.firestore_revisions import revision_of, update_time_of
from frontend_api.rescue.lock import HeldLock

_DOCUMENT = "turns/rescue"
_LOST = (*CHANGED_MEANWHILE, google_errors.Conflict, google_errors.NotFound)


class FirestoreRescueLock:
    def __init__(self, client: firestore.Client, *, timeout_seconds: float = 5.0) -> None:
        self._client = client
        self._document = client.document(_DOCUMENT)
        # No retries: when the first write succeeded without a response, a retry would find its own
        # lock and report it as held by another process.
        self._once: dict[str, Any] = {"retry": None, "timeout": timeout_seconds}

    def acquire(self, holder: str, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        with translated_errors():
            found = self._document.get(**self._once)
            if found.exists and found.get("expires_at") > now:
                return None
            over = revision_of(found.update_time) if found.exists else None
            return self._written(holder, now + ttl, over=over)

    def renew(self, held: HeldLock, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        with translated_errors():
            return self._written(held.holder, now + ttl, over=held.revision)

    def release(self, held: HeldLock) -> None:
        with translated_errors():
            try:
                self._document.delete(option=self._unchanged_since(held.revision), **self._once)
            except _LOST:
                return

    def _written(self, holder: str, expires_at: datetime, *, over: str | None) -> HeldLock | None:
        fields = {"holder": holder, "expires_at": expires_at}
        try:
            if over is None:
                result = self._document.create(fields, **self._once)
            else:
                result = self._document.update(fields, option=self._unchanged_since(over), **self._once)
        except _LOST:
            return None
        return HeldLock(holder=holder, expires_at=expires_at, revision=revision_of(result.update_time))

    def _unchanged_since(self, revision: str) -> Any:
        return self._client.write_option(last_update_time=update_time_of(revision))
