"""InMemoryApiKeys: an ApiKeyStore in a dictionary."""

import threading
from dataclasses import replace
from datetime import datetime

from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError
from tests.fakes.outage import Outage


class InMemoryApiKeys(Outage):
    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._lock = threading.RLock()
        self.reads = 0

    def add(self, key: ApiKey) -> None:
        with self._lock:
            self._check()
            self._keys[key.id] = key

    def get(self, key_id: str) -> ApiKey:
        with self._lock:
            self._check()
            self.reads += 1
            if key_id not in self._keys:
                raise ApiKeyNotFoundError(key_id)
            return self._keys[key_id]

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        with self._lock:
            self._check()
            own = [key for key in self._keys.values() if key.user_id == user_id]
        return tuple(sorted(own, key=lambda key: (key.created_at, key.id), reverse=True))

    def record_use(self, key: ApiKey, now: datetime) -> None:
        with self._lock:
            self._check()
            if key.id not in self._keys:
                raise ApiKeyNotFoundError(key.id)
            self._keys[key.id] = replace(self._keys[key.id], last_used_at=now)

    def delete(self, key_id: str) -> None:
        with self._lock:
            self._check()
            self._keys.pop(key_id, None)
