"""RemovalCost: says on the worker's own pod what its removal would cost, so that idle ones go first (docs/adr/0017)."""

import threading
from collections import deque
from collections.abc import Callable

import structlog

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.ports import OwnPod

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 5.0
_LOOKS_REMEMBERED = 6
"""A pause of less than half a minute between two tasks makes nobody idle, and costs no writes."""


def removal_cost(active_tasks: int) -> int:
    """0 for an idle worker, one more for each doubling: few different costs, so that few changes are written."""
    return active_tasks.bit_length()


class RemovalCost:
    """A side thread's body. Nothing depends on it: while it fails, busy pods may go first and hand back their tasks."""

    def __init__(
        self, pod: OwnPod, active_tasks: Callable[[], int], *, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._pod = pod
        self._active_tasks = active_tasks
        self._look_seconds = look_seconds
        self._recent: deque[int] = deque(maxlen=_LOOKS_REMEMBERED)
        self._told: int | None = None  # unknown: a container that restarts finds what its predecessor said
        self._failing = False
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again until `stop`."""
        while not self._stopping.wait(self._look_seconds):
            self.look()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def look(self) -> None:
        """Say the cost if it is another than before: a higher one at once, a lower one when it lasts."""
        self._recent.append(removal_cost(self._active_tasks()))
        cost = max(self._recent)
        if cost == self._told:
            return
        try:
            self._pod.say_removal_cost(cost)
        except DependencyUnavailableError as error:
            if not self._failing:
                _log.warning("removal_cost_not_said", reason=str(error))
            self._failing = True
        else:
            self._told, self._failing = cost, False
