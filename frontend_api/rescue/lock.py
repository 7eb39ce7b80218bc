"""The port of the lock that lets one rescue run at a time."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """The acquired lock. It expires by itself if its holder dies."""

    holder: str
    expires_at: datetime
    revision: str = field(compare=False)
    """The stored revision that this was read from; opaque except for RescueLock."""


class RescueLock(Protocol):
    """Every method raises DependencyUnavailableError."""

    def acquire(self, holder: str, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        """Acquire the lock if it is free or expired; None otherwise. Never waits."""

    def renew(self, held: HeldLock, *, now: datetime, ttl: timedelta) -> HeldLock | None:
        """Extend the lock by `ttl`; None if another process has acquired it meanwhile."""

    def release(self, held: HeldLock) -> None:
        """Release the lock; no effect if another process has acquired it."""
