"""Sets the deletion cost of the worker's pod, so that idle pods are removed first (docs/adr/0017)."""

import threading
from collections import deque
from collections.abc import Callable

import structlog

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.ports import OwnPod

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 5.0
_POLLS_KEPT = 6
"""Number of polls that a lower cost must last: short pauses between tasks cause no writes."""


def pod_deletion_cost(active_tasks: int) -> int:
    """Return 0 for an idle worker, and 1 more per doubling; few values mean few writes."""
    return active_tasks.bit_length()


class PodDeletionCost:
    """Body of a side thread.

    It is best-effort: if it fails, busy pods may be removed first and hand back their tasks.
    """

    def __init__(
        self, pod: OwnPod, active_tasks: Callable[[], int], *, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        self._pod = pod
        self._active_tasks = active_tasks
        self._poll_seconds = poll_seconds
        self._recent: deque[int] = deque(maxlen=_POLLS_KEPT)
        # unknown: before a restart of the container, its predecessor may have set one
        self._stored: int | None = None
        self._failing = False
        self._stopping = threading.Event()

    def run(self) -> None:
        """Update the cost regularly until `stop`."""
        while not self._stopping.wait(self._poll_seconds):
            self.update()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def update(self) -> None:
        """Set the cost if it has changed: a higher one at once, a lower one after several polls."""
        self._recent.append(pod_deletion_cost(self._active_tasks()))
        cost = max(self._recent)
        if cost == self._stored:
            return
        try:
            self._pod.set_deletion_cost(cost)
        except DependencyUnavailableError as error:
            if not self._failing:
                _log.warning("removal_cost_not_said", reason=str(error))
            self._failing = True
        else:
            self._stored, self._failing = cost, False
