"""Waiting for a sign of life of the worker that holds a redelivered task."""

import threading


class ClaimTakeover:
    """How long to watch the claim of another worker when its task is delivered here.

    Pub/Sub redelivers a claimed task when its lease was not extended, usually because its holder is
    dead. A claim that is not renewed during the watch confirms that, long before the claim expires.
    Only renewals are compared, so that the workers' clocks may differ.
    """

    def __init__(self, *, seconds: float, draining: threading.Event) -> None:
        self._seconds = seconds
        self._draining = draining

    def wait_for_silence(self) -> bool:
        """Wait for the duration of the watch; return False if the worker starts to drain."""
        return not self._draining.wait(self._seconds)
