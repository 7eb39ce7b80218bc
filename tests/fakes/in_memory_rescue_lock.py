"""InMemoryRescueLock: the rescue lock in a variable."""

import threading
from datetime import datetime, timedelta

from common.domain.errors import DependencyUnavailableError
from frontend_api.rescue.ports import Turn


class InMemoryRescueLock:
    """A RescueLock for tests.

    With `unavailable` every call fails as with an unreachable Firestore.
    """

    def __init__(self) -> None:
        self._turn: Turn | None = None
        self._writes = 0
        self._lock = threading.Lock()
        self.unavailable = False

    def take(self, holder: str, *, now: datetime, ttl: timedelta) -> Turn | None:
        with self._lock:
            self._check()
            if self._turn is not None and self._turn.expires_at > now:
                return None
            return self._written(holder, now + ttl)

    def renew(self, turn: Turn, *, now: datetime, ttl: timedelta) -> Turn | None:
        with self._lock:
            self._check()
            return self._written(turn.holder, now + ttl) if self._is_current(turn) else None

    def give_back(self, turn: Turn) -> None:
        with self._lock:
            self._check()
            if self._is_current(turn):
                self._turn = None

    def _written(self, holder: str, expires_at: datetime) -> Turn:
        self._writes += 1
        self._turn = Turn(holder=holder, expires_at=expires_at, revision=str(self._writes))
        return self._turn

    def _is_current(self, turn: Turn) -> bool:
        return self._turn is not None and self._turn.revision == turn.revision

    def _check(self) -> None:
        if self.unavailable:
            raise DependencyUnavailableError("firestore")
