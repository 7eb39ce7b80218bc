"""FirestoreClock: the machine's clock, corrected by the times in Firestore's replies.

Claims and deadlines are written by one process and compared with the time by others. Without the
correction, a process whose clock is ahead would take over, or fail, a task whose holder is alive.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from common.adapters.system_clock import SystemClock
from common.ports import Clock

TOLERANCE_SECONDS = 2.0
"""Smaller differences are not corrected, so that measured durations do not depend on the replies."""
_RIGHT_AGAIN_SECONDS = 1.0
"""The correction ends below this. An error near the tolerance would turn it on and off: each reply
measures a slightly different one."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On macOS, the monotonic clock continues while the machine is suspended."""
_log = structlog.get_logger(__name__)


def _seconds_since_boot() -> float:
    """Return a time that nothing sets, and that continues while the machine is suspended."""
    return time.clock_gettime(_BOOTTIME)


class FirestoreClock:
    """The Clock of production. Safe to share between threads.

    Firestore read or wrote at the time in a reply, and that was after the request was sent and before
    the reply arrived. The difference between both is the error of the correction. Until the first
    reply, this is the machine's clock.
    """

    def __init__(
        self, machine: Clock | None = None, *, timer: Callable[[], float] = _seconds_since_boot
    ) -> None:
        self._machine = machine or SystemClock()
        self.timer = timer
        self._zero: tuple[float, float] | None = None
        """Firestore's time when the timer was 0: not before the first, not after the second."""
        self._is_wrong = False

    def now(self) -> datetime:
        return self._corrected(self._machine.now())

    def observe(self, replied: Any, *, sent_at: float) -> None:
        """Take the time of a reply, which has a `timestamp()`, to a request that was sent at this `timer`."""
        seconds = replied.timestamp()
        self._zero = (seconds - self.timer(), seconds - sent_at)
        machine = self._machine.now()
        ahead = (machine - self._corrected(machine)).total_seconds()
        was_wrong, self._is_wrong = self._is_wrong, ahead != 0
        if self._is_wrong and not was_wrong:
            _log.error("clock_is_wrong", ahead_seconds=round(ahead, 1))

    def _corrected(self, machine: datetime) -> datetime:
        if self._zero is None:
            return machine
        timer = self.timer()
        earliest, latest = (zero + timer for zero in self._zero)
        nearest = max(earliest, min(machine.timestamp(), latest))
        tolerance = _RIGHT_AGAIN_SECONDS if self._is_wrong else TOLERANCE_SECONDS
        is_right = abs(machine.timestamp() - nearest) <= tolerance
        return machine if is_right else datetime.fromtimestamp(nearest, UTC)
