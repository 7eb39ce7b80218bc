"""ModelBackoff: which models failed to load, and when each may be retried. No torch, no I/O.

A load takes seconds to minutes, evicts another model, and keeps failing until its cause is fixed.
So each consecutive failure doubles the pause before the next attempt.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from common.backoff import Backoff
from common.domain.worker_report import BrokenModel

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
_LONGEST_REASON = 1_000


class ModelBackoff:
    """The broken models by name.

    `clock` is monotonic: a system clock set back must not prolong a pause.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._broken: dict[str, BrokenModel] = {}
        self._due_at: dict[str, float] = {}
        self._backoffs: dict[str, Backoff] = {}

    @property
    def broken(self) -> tuple[BrokenModel, ...]:
        """Every broken model, in the order of their first failures."""
        return tuple(self._broken.values())

    def seconds_left(self, model: str) -> float:
        """Return how long the model must not be retried; 0 when it may be."""
        return max(0.0, self._due_at.get(model, 0.0) - self._clock()) if model in self._broken else 0.0

    def failed(self, model: str, reason: str) -> BrokenModel:
        """Record another consecutive failure."""
        backoff = self._backoffs.setdefault(
            model, Backoff(first_seconds=FIRST_PAUSE_SECONDS, max_seconds=LONGEST_PAUSE_SECONDS)
        )
        pause = backoff.next_pause()
        self._due_at[model] = self._clock() + pause
        self._broken[model] = BrokenModel(
            model=model,
            reason=reason[:_LONGEST_REASON],
            failures=backoff.failures,
            retry_at=datetime.now(UTC) + timedelta(seconds=pause),
        )
        return self._broken[model]

    def recovered(self, model: str) -> None:
        """Record that the model was loaded."""
        for records in (self._broken, self._due_at, self._backoffs):
            records.pop(model, None)
