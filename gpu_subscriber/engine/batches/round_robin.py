"""Deficit round robin between batch keys, in seconds of the device. Pure: no torch, no clock.

Each key has a credit. A key takes steps while its credit is positive, and each step costs the
seconds that it takes. Then the key goes to the end of the round with `quantum_seconds` added. So
over any time in which two keys have Runs, their shares of the device differ by at most one quantum
and one step of each, however expensive their steps are.

A key whose steps take longer than the quantum overdraws its credit and is skipped in the following
rounds. The debt remains if its Runs end, because otherwise a key whose Runs come one by one would
get more than its share.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

QUANTUM_SECONDS = 0.5
"""Short enough that a Run of another key soon takes a step, long enough that brief images finish at once."""


@dataclass(slots=True)
class _Account:
    credit: float
    step_seconds: float = 0.0


class RoundRobin(Generic[Key]):
    """The order and the credits of the keys that have Runs or debts."""

    def __init__(self, *, quantum_seconds: float = QUANTUM_SECONDS) -> None:
        self._quantum = quantum_seconds
        self._accounts: dict[Key, _Account] = {}
        """In the order of the round, the current key first."""

    def next_key(self, eligible: Collection[Key], waiting: Collection[Key]) -> Key:
        """Return the key of the next step.

        `eligible` are the keys that may take it, at least one; new ones join at the end of the
        round in this order. `waiting` are all keys that have Runs. Keys that wait without being
        eligible keep their positions and credits.
        """
        for key in eligible:
            self._account(key)
        while True:
            for key, account in tuple(self._accounts.items()):
                if key in eligible and account.credit > 0:
                    return key
                if key in eligible or key not in waiting:
                    del self._accounts[key]
                    if key in eligible or account.credit < 0:
                        account.credit += self._quantum
                        self._accounts[key] = account

    def expect(self, key: Key) -> float:
        """Charge a key for a step that begins, and return the charge.

        That is the time of its latest measured step, because a GPU reports times some steps later.
        """
        account = self._account(key)
        account.credit -= account.step_seconds
        return account.step_seconds

    def settle(self, key: Key, expected: float, seconds: float) -> None:
        """Replace an expected charge by the measured seconds of the step."""
        account = self._account(key)
        account.credit += expected - seconds
        account.step_seconds = seconds

    def clear(self) -> None:
        """Delete all credits and debts, when no Run is left."""
        self._accounts.clear()

    def _account(self, key: Key) -> _Account:
        return self._accounts.setdefault(key, _Account(credit=self._quantum))
