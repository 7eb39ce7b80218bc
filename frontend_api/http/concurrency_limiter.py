"""The gate that limits how many requests run at once; further requests wait, each caller in its own queue.

A caller is a user, whatever credentials it uses, if the same credentials were accepted before. Other
requests count for their network address: credentials that were not checked can be invented without end.

Most threads of the process exist to wait for changes. Without a gate, a burst of submissions would
spread over all of them, each with a small share of the processor: calls to Pub/Sub would time out.
"""

import hashlib
import threading
from collections.abc import Container, Iterator, MutableMapping
from contextlib import contextmanager

from cachetools import LRUCache
from flask import Flask, g, request

from frontend_api.fair_queue import FairQueue
from frontend_api.identity.caller_address import TrustedProxies

_CREDENTIALS = ("Authorization", "X-API-Key", "Sec-WebSocket-Protocol")
_KNOWN_CREDENTIALS = 10_000


class ConcurrencyLimiter:
    """Admits `at_once` requests, and of each caller at most `per_caller`.

    Callers take turns. A request that waits for changes leaves the gate meanwhile.
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
        self._callers: MutableMapping[str, str] = LRUCache(_KNOWN_CREDENTIALS)
        """The caller with accepted credentials, by their digest."""
        self._lock = threading.Lock()

    def enter(self, caller: str) -> threading.Event:
        """Queue a request of this caller; the event is set once it holds capacity."""
        admitted = threading.Event()
        self._queue.enter(caller, admitted.set)
        return admitted

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the current request's capacity within the block and take it again afterwards."""
        self.end_request()
        try:
            yield
        finally:
            self.begin_request()

    def begin_request(self) -> None:
        """Wait for capacity for the current request."""
        self._wait(self.current_caller())

    def continue_as(self, caller: str) -> None:
        """Count the current request for another caller from here on. It waits for its turn among them."""
        self.end_request()
        self._wait(caller)

    def end_request(self) -> None:
        """Release the current request's capacity; no effect if it holds none."""
        if (caller := g.pop("gate_caller", None)) is not None:
            self._queue.leave(caller)

    def _wait(self, caller: str) -> None:
        self.enter(caller).wait()
        g.gate_caller = caller

    def identify(self, caller: str) -> None:
        """Record whose credentials those of the current request are; they were checked."""
        digest = _digest_of_credentials()
        with self._lock:
            self._callers[digest] = caller

    def current_caller(self) -> str:
        """Return the caller of the current request: a user, or a network address."""
        digest = _digest_of_credentials()
        with self._lock:
            known = self._callers.get(digest)
        return known or f"network {self._proxies.network_of(request.environ)}"


def limit_concurrency(app: Flask, gate: ConcurrencyLimiter, *, exempt_paths: Container[str] = ()) -> None:
    """Send every request through the gate, except for `exempt_paths`, which must always respond.

    A response that is streamed after its view has returned holds no capacity.
    """

    @app.before_request
    def enter() -> None:
        if request.path not in exempt_paths:
            gate.begin_request()

    app.teardown_request(lambda _error: gate.end_request())


def _digest_of_credentials() -> str:
    credentials = "\n".join(request.headers.get(name, "") for name in _CREDENTIALS)
    return hashlib.sha256(credentials.encode()).hexdigest()
