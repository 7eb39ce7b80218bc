"""UnfinishedRequests: the requests that have not arrived completely, and which of them to close."""

from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

_Connection = TypeVar("_Connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedLimits:
    """Limits on the time and the amount of incomplete requests."""

    seconds: float
    """Time from the first byte of the head to the last of the body."""
    per_caller: int
    """Maximum requests of one network address."""
    buffered_bytes: int
    """Maximum bytes of all callers together."""


@dataclass(slots=True, kw_only=True)
class _Unfinished:
    deadline: float
    caller: str | None = None
    size: int = 0


class UnfinishedRequests(Generic[_Connection]):
    """Bookkeeping without I/O, for one thread. Connections are in the order in which their requests began."""

    def __init__(self, limits: UnfinishedLimits) -> None:
        self._limits = limits
        self._all: dict[_Connection, _Unfinished] = {}
        self._requests: Counter[str | None] = Counter()
        self._bytes: Counter[str | None] = Counter()

    def __contains__(self, connection: _Connection) -> bool:
        return connection in self._all

    def begin(self, connection: _Connection, *, now: float) -> None:
        self._all[connection] = _Unfinished(deadline=now + self._limits.seconds)
        self._requests[None] += 1

    def grow(self, connection: _Connection, *, caller: str | None, size: int) -> list[_Connection]:
        """Record that `size` bytes have arrived, and return the requests to close in exchange.

        `caller` is None until it is known. The requests to close are the oldest of the same caller, or of
        the caller with the most bytes. Regular requests arrive within moments, so a caller that delays
        many of them loses only its own.
        """
        unfinished = self._all[connection]
        self._forget(unfinished)
        unfinished.caller, unfinished.size = caller, size
        self._requests[caller] += 1
        self._bytes[caller] += size
        if caller is not None and self._requests[caller] > self._limits.per_caller:
            return self._oldest_of(caller, requests=self._requests[caller] - self._limits.per_caller, size=0)
        excess = self._bytes.total() - self._limits.buffered_bytes
        if excess > 0:
            greediest = max(self._bytes, key=self._bytes.__getitem__)
            return self._oldest_of(greediest, requests=0, size=excess)
        return []

    def end(self, connection: _Connection) -> None:
        self._forget(self._all.pop(connection))

    def oldest(self) -> _Connection | None:
        return next(iter(self._all), None)

    def overdue(self, *, now: float) -> list[_Connection]:
        """Return the requests past their deadline."""
        found = []
        for connection, unfinished in self._all.items():
            if unfinished.deadline > now:
                break
            found.append(connection)
        return found

    def _forget(self, unfinished: _Unfinished) -> None:
        caller = unfinished.caller
        self._requests[caller] -= 1
        self._bytes[caller] -= unfinished.size
        if not self._requests[caller]:
            del self._requests[caller], self._bytes[caller]

    def _oldest_of(self, caller: str | None, *, requests: int, size: int) -> list[_Connection]:
        """Return the oldest requests of a caller: at least `requests`, with at least `size` bytes."""
        found = []
        for connection, unfinished in self._all.items():
            if requests <= 0 and size <= 0:
                break
            if unfinished.caller == caller:
                found.append(connection)
                requests -= 1
                size -= unfinished.size
        return found
