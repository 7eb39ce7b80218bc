"""InMemoryRescueLock: the rescue lock in a variable."""

import threading
from datetime import datetime, timedelta

from frontend_api.rescue.lock import HeldLock
from tests.fakes.outage import Outage


class InMemoryRescueLock(Outage):
    def __init__(self) -> None:
        self._held: HeldLock | None = None
        self._writes = 0
        self._mutex = threading.Lock()

    def acquire(self, holder: str, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        with self._mutex:
            self._check()
            if self._held is not None and self._held.expires_at > now:
                return None
            return self._written(holder, now + ttl)

    def renew(self, held: HeldLock, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        with self._mutex:
            self._check()
            return self._written(held.holder, now + ttl) if self._is_current(held) else None

    def release(self, held: HeldLock) -> None:
        with self._mutex:
            self._check()
            if self._is_current(held):
                self._held = None

    def _written(self, holder: str, expires_at: datetime) -> HeldLock:
        self._writes += 1
        self._held = HeldLock(holder=holder, expires_at=expires_at, revision=str(self._writes))
        return self._held

    def _is_current(self, held: HeldLock) -> bool:
        return self._held is not None and self._held.revision == held.revision
