"""Calls of a remote service leave the limit on concurrent requests, and take turns of their own.

A service that does not respond then delays requests that call it, and no others.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

from flask import g, has_app_context

from common.domain.errors import DependencyUnavailableError
from frontend_api.fair_queue import FairQueue
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter

_Port = TypeVar("_Port")
_Result = TypeVar("_Result")
_TIMEOUT_SECONDS = 10.0
"""Longer than the calls' timeouts: while some calls succeed, those that wait have time. A submission
that waits has stored its task, which rescue publishes after 30 seconds.
"""


class RemoteService:
    """A service that processes at most `at_once` calls of this process, and of each caller `per_caller`.

    A call that waits fails after `timeout_seconds` without any response of the service, which hangs. While it
    is only slow, the calls wait. Calls of threads without capacity in the gate, such as those of open
    streams, take no turns.
    """

    def __init__(
        self,
        name: str,
        gate: ConcurrencyLimiter,
        *,
        at_once: int,
        per_caller: int,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._name = name
        self._gate = gate
        self._queue = FairQueue(at_once, per_caller=per_caller)
        self._timeout = timeout_seconds
        self._responded_at = time.monotonic()

    def limited(self, port: _Port) -> _Port:
        """Return the port with each method called in a turn."""
        return cast("_Port", _Wrapped(port, self._call))

    def _call(self, method: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
        with self._gate.left() as caller:
            if caller is None:
                return method(*arguments, **options)
            with self._turn_of(caller):
                try:
                    result = method(*arguments, **options)
                except Exception as error:
                    if not isinstance(error, DependencyUnavailableError):  # such as: there is no such file
                        self._responded_at = time.monotonic()
                    raise
                self._responded_at = time.monotonic()
                return result

    @contextmanager
    def _turn_of(self, caller: str) -> Iterator[None]:
        started, used = threading.Event(), _services_used()
        start = started.set
        # Later calls of a request come first: the requests of a burst would advance in step, and all end late.
        self._queue.enter(caller, start, returns=self._name in used)
        used.add(self._name)
        entered_at = time.monotonic()

        def seconds_left() -> float:
            return max(entered_at, self._responded_at) + self._timeout - time.monotonic()

        while not started.wait(max(0, seconds_left())):
            if seconds_left() <= 0 and self._queue.withdraw(caller, start):
                raise DependencyUnavailableError(self._name)
        try:
            yield
        finally:
            self._queue.leave(caller)


def _services_used() -> set[str]:
    """The names of the services that the current request has called."""
    used: set[str] = g.setdefault("services_used", set()) if has_app_context() else set()
    return used


def outside(gate: ConcurrencyLimiter, port: _Port) -> _Port:
    """Return the port with each method called outside of the gate, for a port that limits its calls itself."""

    def call(method: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
        with gate.left():
            return method(*arguments, **options)

    return cast("_Port", _Wrapped(port, call))


class _Wrapped:
    """A port each of whose methods is called by `call`."""

    def __init__(self, port: object, call: Callable[..., object]) -> None:
        self._port = port
        self._call = call

    def __getattr__(self, name: str) -> object:
        return partial(self._call, getattr(self._port, name))
