"""Waiting for a sign of life of the worker that holds a redelivered task."""

import threading
from collections.abc import MutableMapping

from cachetools import TTLCache

from common.domain.task import Claim

_MOST_WATCHED = 10_000


class ClaimTakeover:
    """How long to watch the claim of another worker when its task is delivered here.

    Pub/Sub redelivers a claimed task when its lease was not extended, usually because its holder is
    dead. A claim that is not renewed during the watch confirms that, long before the claim expires.
    Only renewals are compared, so that the workers' clocks may differ.

    A caller can have many messages for a task, by cancelling and retrying it, and a watch occupies a
    slot of the worker. So a claim is watched once within `again_after_seconds`, by which it has expired
    if its holder is dead.
    """

    def __init__(self, *, seconds: float, again_after_seconds: float, draining: threading.Event) -> None:
        self._seconds = seconds
        self._draining = draining
        self._lock = threading.Lock()
        self._watched: MutableMapping[tuple[str, str, int], None] = TTLCache(
            _MOST_WATCHED, again_after_seconds
        )

    def wait_for_silence(self, task_id: str, claim: Claim) -> bool:
        """Wait for the duration of the watch.

        Return False at once if the claim was watched before, or as soon as the worker starts to drain.
        """
        watched = (task_id, claim.worker_id, claim.attempt)
        with self._lock:
            if watched in self._watched:
                return False
            self._watched[watched] = None
        return not self._draining.wait(self._seconds)
