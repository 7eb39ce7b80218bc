"""Heartbeat: one thread per worker that renews claims, writes progress, and reads cancellations."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import structlog

from common.domain.errors import (
    ClaimLostError,
    DependencyUnavailableError,
    InvalidTransitionError,
    TaskNotFoundError,
)
from common.observability.metrics import CLAIMS_LOST, counter
from common.ports import Clock
from gpu_subscriber.attempt.active_task import ActiveTask, Pace, StopReason

_log = structlog.get_logger(__name__)
_claims_lost = counter(CLAIMS_LOST)
_IDLE_SECONDS = 1.0
"""The longest pause between two beats, so that the liveness probe sees a recent one."""
_PAUSE_AFTER_OUTAGE_SECONDS = 2.0


class Heartbeat:
    """Writes for all active tasks in turn: about ten writes per image, or one every 3 s."""

    def __init__(self, *, clock: Clock, claim_ttl: timedelta, pace: Pace) -> None:
        self._clock = clock
        self._claim_ttl = claim_ttl
        self._pace = pace
        self._lock = threading.Lock()
        self._active: list[ActiveTask] = []
        self._wake = threading.Event()
        self._stopping = False
        self.last_beat_at = clock.now()

    @property
    def active_tasks(self) -> tuple[ActiveTask, ...]:
        """The tasks whose claims are being renewed."""
        with self._lock:
            return tuple(self._active)

    @contextmanager
    def holding(self, active: ActiveTask) -> Iterator[None]:
        """Renew this task's claim inside the block."""
        with self._lock:
            self._active.append(active)
        try:
            yield
        finally:
            with self._lock:
                self._active.remove(active)

    def wake(self) -> None:
        """Wake the heartbeat, since a write may be due. Cheap and thread-safe."""
        self._wake.set()

    def run(self) -> None:
        """Beat until `stop`: the body of the heartbeat's thread."""
        while not self._stopping:
            self._wake.wait(timeout=self._seconds_until_due())
            self._wake.clear()
            self.beat()

    def stop(self) -> None:
        """End `run` soon. Claims are no longer renewed after that."""
        self._stopping = True
        self._wake.set()

    def beat(self) -> None:
        """Write or read every task that is due."""
        for active in self.active_tasks:
            now = self.last_beat_at = self._clock.now()
            if active.renewal_due_at(self._pace) <= now:
                self._attend(active, partial(active.renew, self._claim_ttl))
            elif active.refresh_due_at(self._pace) <= now:
                self._attend(active, active.refresh)
        self.last_beat_at = self._clock.now()

    def _attend(self, active: ActiveTask, to_do: Callable[[], None]) -> None:
        try:
            to_do()
        except (ClaimLostError, InvalidTransitionError, TaskNotFoundError) as error:
            task_id, attempt = active.task.id, active.claim.attempt
            _log.warning("claim_lost", task_id=task_id, attempt=attempt, reason=error.code)
            if active.stop_reason is not StopReason.CLAIM_LOST:  # otherwise it was counted before
                _claims_lost.add(1, {"reason": error.code})
            active.stop(StopReason.CLAIM_LOST)
            active.postpone(self._pace.renewal_seconds)
        except DependencyUnavailableError as error:
            _log.warning("claim_not_renewed", task_id=active.task.id, reason=error.code)
            active.postpone(_PAUSE_AFTER_OUTAGE_SECONDS)
        else:
            if active.task.cancel_requested_at is not None and active.stop_reason is None:
                active.stop(StopReason.CANCELLED)

    def _seconds_until_due(self) -> float:
        now = self._clock.now()
        due = [
            min(active.renewal_due_at(self._pace), active.refresh_due_at(self._pace))
            for active in self.active_tasks
        ]
        return max(0.0, min([*((moment - now).total_seconds() for moment in due), _IDLE_SECONDS]))
