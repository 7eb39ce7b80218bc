"""Cached: one value that is read again when it is old, by one thread at a time (single-flight)."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from common.ports import Clock

_Value = TypeVar("_Value")


class Cached(Generic[_Value]):
    """Safe to share between threads.

    While one thread reads, the others get the previous value. Without one they wait, and a failure is
    theirs, too: otherwise each would repeat the read, one after the other.
    """

    def __init__(
        self,
        read: Callable[[datetime], _Value],
        *,
        ttl: timedelta,
        clock: Clock,
        max_age: timedelta | None = None,
        retry_after: timedelta = timedelta(0),
    ) -> None:
        """`read` gets the current time.

        Without `max_age`, a failed read raises its error. With it, the previous value is returned
        instead until it is older than `max_age`. No read begins for `retry_after` after a failure.
        """
        self._read = read
        self._ttl = ttl
        self._clock = clock
        self._max_age = max_age
        self._retry_after = retry_after
        self._reading = threading.Lock()
        self._latest: tuple[datetime, _Value] | None = None
        self._failure: tuple[datetime, Exception] | None = None
        self._failures = 0

    def __call__(self) -> _Value:
        """Return a value that is at most `ttl` old, or that is being replaced."""
        now, latest, failures = self._clock.now(), self._latest, self._failures
        if latest is None or (self._max_age is not None and now - latest[0] >= self._max_age):
            with self._reading:
                return self._value(has_failed=self._failures > failures)
        if now - latest[0] < self._ttl or not self._reading.acquire(blocking=False):
            return latest[1]
        try:
            return self._value(has_failed=False)
        finally:
            self._reading.release()

    def _value(self, *, has_failed: bool) -> _Value:
        """Read the value, unless another thread just has, or has failed. The caller holds the lock."""
        now = self._clock.now()
        if self._latest is not None and now - self._latest[0] < self._ttl:
            return self._latest[1]
        try:
            if self._failure is not None and (has_failed or now - self._failure[0] < self._retry_after):
                raise self._failure[1]
            value = self._read(now)
        except Exception as error:
            if self._failure is None or error is not self._failure[1]:
                self._failure = (self._clock.now(), error)
                self._failures += 1
            if self._latest is None or self._max_age is None or now - self._latest[0] >= self._max_age:
                raise
            return self._latest[1]
        self._latest = (now, value)
        return value
