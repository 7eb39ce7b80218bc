"""The gate that requests pass: so many are worked on at once, the others wait before it.

Most of the process's threads are there to wait for changes. Without a gate a burst of submissions spreads over all of
them, each gets a small share of the processor, and all of them are late together: calls to Pub/Sub run out of time.
"""

import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager

from flask import Flask, g, request


class RequestGate:
    """Lets `at_once` requests in. Whoever waits for changes steps out meanwhile."""

    def __init__(self, *, at_once: int) -> None:
        self._room = threading.BoundedSemaphore(at_once)

    def enter(self) -> None:
        """Wait until there is room, and take it."""
        self._room.acquire()
        g.is_in = True

    def leave(self) -> None:
        """Give the room to the next; no effect on a request that is not in."""
        if g.pop("is_in", False):
            self._room.release()

    @contextmanager
    def stepped_out(self) -> Iterator[None]:
        """Outside within the block, and in again after it."""
        self.leave()
        try:
            yield
        finally:
            self.enter()


def gate_requests(app: Flask, gate: RequestGate, *, exempt_paths: Container[str] = ()) -> None:
    """Have every request pass the gate, but those of `exempt_paths`, which must answer however busy the process is.

    A response that is still streamed after its view has returned is outside the gate.
    """

    @app.before_request
    def enter() -> None:
        if request.path not in exempt_paths:
            gate.enter()

    app.teardown_request(lambda _error: gate.leave())
