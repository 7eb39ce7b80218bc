"""The gate that limits how many requests run at once; further requests wait.

Most threads of the process exist to wait for changes. Without a gate, a burst of submissions would
spread over all of them, each with a small share of the processor: calls to Pub/Sub would time out.
"""

import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager

from flask import Flask, g, request


class ConcurrencyLimiter:
    """Admits `at_once` requests. A request that waits for changes leaves the gate meanwhile."""

    def __init__(self, *, at_once: int) -> None:
        self._slots = threading.BoundedSemaphore(at_once)

    def enter(self) -> None:
        """Wait for capacity and take it."""
        self._slots.acquire()
        g.holds_slot = True

    def leave(self) -> None:
        """Release the capacity; no effect for a request that holds none."""
        if g.pop("holds_slot", False):
            self._slots.release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the capacity within the block and take it again afterwards."""
        self.leave()
        try:
            yield
        finally:
            self.enter()


def limit_concurrency(app: Flask, gate: ConcurrencyLimiter, *, exempt_paths: Container[str] = ()) -> None:
    """Send every request through the gate, except for `exempt_paths`, which must always respond.

    A response that is streamed after its view has returned holds no capacity.
    """

    @app.before_request
    def enter() -> None:
        if request.path not in exempt_paths:
            gate.enter()

    app.teardown_request(lambda _error: gate.leave())
