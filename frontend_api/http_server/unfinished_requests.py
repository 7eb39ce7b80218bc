"""UnfinishedRequests: which requests have not arrived completely, and which of them must be given up."""

from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

_Connection = TypeVar("_Connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedLimits:
    """How long a request may take to arrive, and how much may be on its way."""

    seconds: float
    """From the first byte of the head to the last of the body, however steadily they come."""
    per_caller: int
    """Requests of one network address."""
    buffered_bytes: int
    """Of all callers together."""


@dataclass(slots=True, kw_only=True)
class _Unfinished:
    deadline: float
    caller: str | None = None
    size: int = 0


class UnfinishedRequests(Generic[_Connection]):
    """Bookkeeping without I/O, for one thread. Connections are kept in the order in which their requests began."""

    def __init__(self, limits: UnfinishedLimits) -> None:
        self._limits = limits
        self._all: dict[_Connection, _Unfinished] = {}
        self._requests: Counter[str | None] = Counter()
        self._bytes: Counter[str | None] = Counter()

    def __contains__(self, connection: _Connection) -> bool:
        return connection in self._all

    def begin(self, connection: _Connection, *, now: float) -> None:
        """The first byte of a request has arrived."""
        self._all[connection] = _Unfinished(deadline=now + self._limits.seconds)
        self._requests[None] += 1

    def grow(self, connection: _Connection, *, caller: str | None, size: int) -> list[_Connection]:
        """`size` bytes have arrived by now; `caller` is None until it is known. What must be given up for it.

        The oldest requests of the same caller, or of the caller with the most bytes. Honest requests arrive within
        moments: a caller that holds many of them back loses its own, and no other caller behind the same address does.
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
        """The request is complete, or given up."""
        self._forget(self._all.pop(connection))

    def oldest(self) -> _Connection | None:
        """The request that has been arriving for longest."""
        return next(iter(self._all), None)

    def overdue(self, *, now: float) -> list[_Connection]:
        """Requests that took too long."""
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
        """The oldest of a caller's requests: as many as that, and with as many bytes."""
        found = []
        for connection, unfinished in self._all.items():
            if requests <= 0 and size <= 0:
                break
            if unfinished.caller == caller:
                found.append(connection)
                requests -= 1
                size -= unfinished.size
        return found
