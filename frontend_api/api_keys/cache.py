"""CachedApiKeys: an ApiKeyStore with a cache, so that not every request costs a read."""

import threading
from collections.abc import MutableMapping
from datetime import datetime, timedelta

from cachetools import LRUCache, TTLCache

from common.ports import Clock
from frontend_api.api_keys.api_key import ApiKey
from frontend_api.api_keys.ports import ApiKeyStore

_MAX_KEYS = 4_096
_USE_RECORDED_EVERY = timedelta(minutes=10)


class CachedApiKeys:
    """An ApiKeyStore that adds a cache to another one. Safe to share between threads.

    A key that another instance revoked works here for up to `known_for`; this instance evicts a key
    that it revokes at once. Unknown ids are not cached.
    """

    def __init__(self, store: ApiKeyStore, *, clock: Clock, known_for: timedelta) -> None:
        def now() -> float:
            return clock.now().timestamp()

        self._store = store
        self._lock = threading.Lock()
        self._keys: MutableMapping[str, ApiKey] = TTLCache(_MAX_KEYS, known_for.total_seconds(), timer=now)
        self._deleted: MutableMapping[str, bool] = LRUCache(_MAX_KEYS)
        self._recorded_uses: MutableMapping[str, datetime] = TTLCache(
            _MAX_KEYS, _USE_RECORDED_EVERY.total_seconds(), timer=now
        )

    def get(self, key_id: str) -> ApiKey:
        """Return the key, possibly as it was `known_for` ago. Raises ApiKeyNotFoundError."""
        with self._lock:
            cached = self._keys.get(key_id)
        if cached is not None:
            return cached
        key = self._store.get(key_id)
        with self._lock:
            if key_id not in self._deleted:  # else it was revoked while it was read
                self._keys[key_id] = key
        return key

    def record_use(self, key: ApiKey, now: datetime) -> None:
        """Record a use, at most every ten minutes as far as this process and the cached key show."""
        with self._lock:
            last_used_at = self._recorded_uses.get(key.id, key.last_used_at)
        if last_used_at is not None and now - last_used_at < _USE_RECORDED_EVERY:
            return
        self._store.record_use(key, now)
        with self._lock:
            self._recorded_uses[key.id] = now

    def add(self, key: ApiKey) -> None:
        self._store.add(key)

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        return self._store.list_for(user_id)

    def delete(self, key_id: str) -> None:
        self._store.delete(key_id)
        with self._lock:
            self._deleted[key_id] = True
            self._keys.pop(key_id, None)
