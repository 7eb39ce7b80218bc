"""CachedApiKeys: an ApiKeyStore with a cache, so that not every request costs a read."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

from common.ports import Clock
from frontend_api.api_keys.api_key import ApiKey
from frontend_api.api_keys.ports import ApiKeyStore

_MOST_REMEMBERED = 4_096
_USE_NOTED_EVERY = timedelta(minutes=10)


class CachedApiKeys:
    """An ApiKeyStore that adds a cache to another one. Safe to share between threads.

    A key is read again `known_for` after it was read. A key that another instance revoked therefore
    works here for up to `known_for`; this instance evicts a key that it revokes at once. Unknown
    ids are not cached.
    """

    def __init__(self, store: ApiKeyStore, *, clock: Clock, known_for: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._known_for = known_for
        self._lock = threading.Lock()
        self._known: dict[str, tuple[datetime, ApiKey]] = {}

    def get(self, key_id: str) -> ApiKey:
        """Return the key, possibly as it was `known_for` ago. Raises ApiKeyNotFoundError."""
        now = self._clock.now()
        with self._lock:
            read_at, key = self._known.get(key_id, (None, None))
        if read_at is None or key is None or now - read_at >= self._known_for:
            key = self._store.get(key_id)
            self._remember(now, key)
        return key

    def record_use(self, key: ApiKey, now: datetime) -> None:
        """Record a use, at most every ten minutes as far as the cached key shows."""
        if key.last_used_at is not None and now - key.last_used_at < _USE_NOTED_EVERY:
            return
        self._store.record_use(key, now)
        with self._lock:
            if key.id in self._known:
                read_at, _ = self._known[key.id]
                self._known[key.id] = (read_at, replace(key, last_used_at=now))

    def add(self, key: ApiKey) -> None:
        self._store.add(key)

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        return self._store.list_for(user_id)

    def delete(self, key_id: str) -> None:
        self._store.delete(key_id)
        with self._lock:
            self._known.pop(key_id, None)

    def _remember(self, now: datetime, key: ApiKey) -> None:
        with self._lock:
            self._known.pop(key.id, None)  # so that the first key is the one read longest ago
            self._known[key.id] = (now, key)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.pop(next(iter(self._known)))
