"""Remembered: caches a measurement of the store for a short time and shares it between callers."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from common.ports import Clock

_Measured = TypeVar("_Measured")


class Remembered(Generic[_Measured]):
    """The latest measurement and its start time. Safe to share between threads."""

    def __init__(
        self, measure: Callable[[datetime], _Measured], *, good_for: timedelta, clock: Clock
    ) -> None:
        self._measure = measure
        self._good_for = good_for
        self._clock = clock
        self._measuring = threading.Lock()
        self._latest: tuple[datetime, _Measured] | None = None

    def __call__(self) -> _Measured:
        """Return a measurement that is at most `good_for` old, or that is being replaced.

        Raises what `measure` raises.
        """
        if self._latest is None:
            with self._measuring:
                return self._latest[1] if self._latest else self._measured()
        measured_at, latest = self._latest
        # While another thread measures, callers get the previous measurement.
        if self._clock.now() - measured_at < self._good_for or not self._measuring.acquire(blocking=False):
            return latest
        try:
            return self._measured()
        finally:
            self._measuring.release()

    def _measured(self) -> _Measured:
        now = self._clock.now()
        measured = self._measure(now)
        self._latest = (now, measured)
        return measured
