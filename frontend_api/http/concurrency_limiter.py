"""The gate that limits how many requests run at once; further requests wait, each caller in its own queue.

A caller is a user, whatever credentials it uses. A request whose credentials were not accepted before
counts for its network address until they are: others can be invented without end.

Most threads of the process exist to wait for changes. Without a gate, a burst of submissions would
spread over all of them, each with a small share of the processor: calls to Pub/Sub would time out.
"""

import threading
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager

from flask import Flask, g, request

from frontend_api.fair_queue import FairQueue
from frontend_api.http.known_credentials import KnownCredentials
from frontend_api.identity.caller_address import TrustedProxies

NETWORK = "network "
"""Begins the names of callers who are not known as users."""
INTERNAL = "internal"
"""The user of requests of the scheduler, and of Pub/Sub's pushes."""


class ConcurrencyLimiter:
    """Admits `at_once` requests, and of each caller at most `per_caller`.

    Callers take turns. The server queues a request before it uses a thread, so that a burst does not
    compete for the processor with the requests whose turn it is. A request that waits for changes, or
    calls a `RemoteService`, leaves the gate meanwhile.
    """

    def __init__(
        self,
        *,
        at_once: int,
        per_caller: int,
        proxies: TrustedProxies = TrustedProxies(),  # noqa: B008 (frozen)
    ) -> None:
        self._queue = FairQueue(at_once, per_caller=per_caller)
        self._proxies = proxies
        self._known = KnownCredentials()
        self._held = threading.local()
        """The caller of whom a thread holds capacity."""

    def enter(self, caller: str, *, returns: bool = False) -> threading.Event:
        """Queue a request of this caller; the event is set once it holds capacity.

        One that `returns` comes before the caller's other requests.
        """
        admitted = threading.Event()
        self._queue.enter(caller, admitted.set, returns=returns)
        return admitted

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the current request's capacity within the block and take it again afterwards."""
        self.end_request()
        try:
            yield
        finally:
            self.begin_request()

    @contextmanager
    def held_by(self, caller: str) -> Iterator[None]:
        """Hold capacity of this caller within the block: for a part of a request that has released its own."""
        self._wait(caller)
        try:
            yield
        finally:
            self.end_request()

    @contextmanager
    def left(self) -> Iterator[str | None]:
        """Release this thread's capacity within the block and take it again before its caller's other requests.

        Yields the caller, or None if the thread holds no capacity.
        """
        caller = self._leave()
        try:
            yield caller
        finally:
            if caller is not None:
                self._wait(caller, returns=True)

    @contextmanager
    def in_turn(self, queue: FairQueue) -> Iterator[None]:
        """Hold capacity of this queue, too, within the block. The request leaves its own to wait for it."""
        caller, admitted = self.current_caller(), threading.Event()
        with self.left():
            queue.enter(caller, admitted.set)
            admitted.wait()
        try:
            yield
        finally:
            queue.leave(caller)

    def user_with(self, headers: Mapping[str, str]) -> str | None:
        """Return the user whose credentials these headers contain, if they were accepted lately."""
        return self._known.caller_with(headers)

    def enter_request(self, caller: str, start: Callable[[], object]) -> None:
        """Queue a request that has no thread yet.

        `start` is called once it holds capacity, on any thread, which it must not delay.
        """
        self._queue.enter(caller, start)

    @contextmanager
    def holding(self, caller: str, identify: Callable[[str], object]) -> Iterator[None]:
        """Handle in this thread, within the block, a request whose caller holds capacity.

        `identify` is called with the user whose credentials the request's route has accepted, and may
        raise an exception that ends the request.
        """
        self._held.caller, self._held.identify = caller, identify
        try:
            yield
        finally:
            self._held.identify = None
            self.end_request()

    def begin_request(self) -> None:
        """Wait for capacity for the current request, unless its thread holds it."""
        if self._caller_of_thread is None:
            self._wait(self.current_caller())

    def continue_as(self, caller: str) -> None:
        """Count the current request for this caller from here on.

        If it held capacity of another one, it waits for its turn among those of this caller.
        """
        if self._caller_of_thread not in (None, caller):
            self.end_request()
            self._wait(caller)

    def end_request(self) -> None:
        """Release this thread's capacity; no effect if it holds none."""
        self._leave()

    def _wait(self, caller: str, *, returns: bool = False) -> None:
        self.enter(caller, returns=returns).wait()
        self._held.caller = caller

    def _leave(self) -> str | None:
        caller = self._caller_of_thread
        if caller is not None:
            self._held.caller = None
            self._queue.leave(caller)
        return caller

    def identify(self, caller: str, headers: Mapping[str, str]) -> None:
        """Record that these headers of the current request contain credentials of this caller."""
        self._known.add(headers, caller)
        g.identified_caller = caller
        identify: Callable[[str], object] | None = getattr(self._held, "identify", None)
        if identify is not None:
            identify(caller)

    def refuse(self, headers: Mapping[str, str]) -> None:
        """Count requests with these credentials for their network address: they are no longer accepted."""
        self._known.remove(headers)

    def current_caller(self) -> str:
        """Return the caller of the current request: a user whose credentials are known, or a network address."""
        is_checked = "identified_caller" in g
        known = None if is_checked else self._known.caller_with(dict(request.headers))
        return known or self.checked_caller()

    def checked_caller(self) -> str:
        """Return the user whose credentials the current request's route has accepted, or else a network address."""
        user: str | None = g.get("identified_caller")
        return user or visitors_of(self._proxies.network_of(request.environ))

    @property
    def _caller_of_thread(self) -> str | None:
        """The caller of whom this thread holds capacity."""
        return getattr(self._held, "caller", None)


def visitors_of(network: str) -> str:
    """Return the name of the callers of a network address who are not known as users."""
    return f"{NETWORK}{network}"


def limit_concurrency(app: Flask, gate: ConcurrencyLimiter, *, exempt_paths: Container[str] = ()) -> None:
    """Send every request through the gate, except for `exempt_paths`, which must always respond.

    A response that is streamed after its view has returned holds no capacity.
    """

    @app.before_request
    def enter() -> None:
        if request.path not in exempt_paths:
            gate.begin_request()

    app.teardown_request(lambda _error: gate.end_request())
