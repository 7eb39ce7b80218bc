"""FairShares: a capacity of this process that one caller must not use up for all others."""

import threading
from collections import Counter


class FairShares:
    """Counts the amounts that callers hold. Thread-safe.

    A caller may hold everything that no other caller needs. While the capacity is used up, it gets
    more only below an equal share, so that the first request of another caller is always admitted.
    """

    def __init__(self, capacity: int, *, beyond: int = 0) -> None:
        """A single caller may hold `beyond` more than the capacity, for example requests in a queue."""
        self._capacity = capacity
        self._most = capacity + beyond
        self._lock = threading.Lock()
        self._held: Counter[str | None] = Counter()

    @property
    def is_used_up(self) -> bool:
        with self._lock:
            return self._is_used_up

    def admits(self, caller: str | None) -> bool:
        """Return whether this caller may take more."""
        with self._lock:
            return self._admits(caller)

    def take_if_admitted(self, caller: str | None, amount: int) -> bool:
        """Take the amount, and return True, if this caller may take more."""
        with self._lock:
            if is_admitted := self._admits(caller):
                self._held[caller] += amount
            return is_admitted

    def take(self, caller: str | None, amount: int = 1) -> None:
        with self._lock:
            self._held[caller] += amount

    def give_back(self, caller: str | None, amount: int = 1) -> None:
        with self._lock:
            self._held[caller] -= amount
            if not self._held[caller]:
                del self._held[caller]

    def _admits(self, caller: str | None) -> bool:
        callers = len(self._held.keys() | {caller})
        return not self._is_used_up or self._held[caller] * callers < self._most

    @property
    def _is_used_up(self) -> bool:
        return self._held.total() >= self._capacity
