"""HeldTurn: holds the rescue's lock while the rescue runs, and releases it at the end."""

from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from common.domain.errors import DependencyUnavailableError
from common.ports import Clock
from frontend_api.rescue.ports import RescueLock, Turn


class HeldTurn:
    """A context manager around an acquired lock."""

    def __init__(self, turn: Turn, *, turns: RescueLock, clock: Clock, ttl: timedelta) -> None:
        self._turn: Turn | None = turn
        self._turns = turns
        self._clock = clock
        self._ttl = ttl

    def kept(self) -> bool:
        """Renew the lock.

        Returns False if another process has taken it; the rescue must then stop.
        """
        if self._turn is not None:
            self._turn = self._turns.renew(self._turn, now=self._clock.now(), ttl=self._ttl)
        return self._turn is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(DependencyUnavailableError):  # the lock then expires
            if self._turn is not None:
                self._turns.give_back(self._turn)
