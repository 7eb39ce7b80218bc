"""Retries of calls to unavailable dependencies within an attempt."""

import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from common.domain.errors import DependencyUnavailableError

Answer = TypeVar("Answer")


class DependencyRetry:
    """Retries a call while its dependency is unavailable, with exponential backoff and jitter.

    It stops after `seconds`, or as soon as `draining` is set: a draining worker makes only one
    attempt.
    """

    def __init__(
        self, *, seconds: float, draining: threading.Event, first_pause_seconds: float = 0.2
    ) -> None:
        self._seconds = seconds
        self._draining = draining
        self._first_pause = first_pause_seconds

    @property
    def is_cut_short(self) -> bool:
        """Whether the worker is draining, so that retries stop early."""
        return self._draining.is_set()

    def __call__(self, call: Callable[[], Answer]) -> Answer:
        """Return the result of `call`.

        Raises DependencyUnavailableError after the last attempt, and any other error at once.
        """
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(DependencyUnavailableError),
            wait=tenacity.wait_exponential_jitter(
                multiplier=self._first_pause, max=5.0, jitter=self._first_pause
            ),
            stop=tenacity.stop_any(
                tenacity.stop_after_delay(self._seconds), tenacity.stop_when_event_set(self._draining)
            ),
            sleep=tenacity.sleep_using_event(self._draining),
            reraise=True,
        ):
            with attempt:
                return call()
        raise AssertionError("tenacity returns or raises")
