"""FairShares: a capacity of this process that one caller must not use up for all others."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

Reserve: TypeAlias = Callable[[int], AbstractContextManager[None]]
"""Holds an amount of a capacity for one caller, within the block."""


class FairShares:
    """Counts the amounts that callers hold. Thread-safe.

    A caller may hold everything that no other caller needs. While the capacity is used up, it gets
    more only below an equal share, so that the first request of another caller is admitted. With
    `at_most`, all of them together hold no more, and beyond the capacity a caller gets more only if
    what is left is more than `margin` times what it holds.
    """

    def __init__(self, capacity: int, *, at_most: int | None = None, margin: int = 1) -> None:
        self._capacity = capacity
        self._at_most = at_most
        self._margin = margin
        self._lock = threading.Condition()
        self._held: Counter[str] = Counter()

    def admits(self, caller: str) -> bool:
        """Return whether this caller may take more."""
        with self._lock:
            return self._admits(caller)

    def take_if_admitted(self, caller: str, amount: int) -> bool:
        """Take the amount, and return True, if this caller may take more."""
        with self._lock:
            if is_admitted := self._admits(caller):
                self._held[caller] += amount
            return is_admitted

    def take_within(self, seconds: float, caller: str, amount: int) -> bool:
        """Do the same, but wait up to `seconds` until this caller may take more."""
        with self._lock:
            if is_admitted := self._lock.wait_for(lambda: self._admits(caller), seconds):
                self._held[caller] += amount
            return is_admitted

    def take(self, caller: str, amount: int = 1) -> None:
        with self._lock:
            self._held[caller] += amount

    def give_back(self, caller: str, amount: int = 1) -> None:
        with self._lock:
            self._held[caller] -= amount
            if not self._held[caller]:
                del self._held[caller]
            self._lock.notify_all()

    def _admits(self, caller: str) -> bool:
        held = self._held.total()
        if held < self._capacity:
            return True
        if self._at_most is not None:
            return self._margin * self._held[caller] < self._at_most - held
        callers = len(self._held.keys() | {caller})
        return self._held[caller] * callers < self._capacity
