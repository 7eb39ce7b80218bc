"""Retry deliveries: try those again that are due. Called each minute.

Callers take turns, the one that has waited longest first.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zlib import crc32

import structlog

from common.domain.errors import DependencyUnavailableError
from common.observability.tracing import carried_on
from common.ports import Clock
from common.wire_formats.task_event import TaskEvent
from frontend_api.webhooks.ports import WebhookLogs

MAX_CALLERS = 1_000
"""Callers per round."""
MAX_LOGS = 300
"""Logs per turn."""
RUN = timedelta(seconds=30)
"""No turn starts later in a run."""
TURN = timedelta(seconds=10)
"""No try starts later in a turn. So a run ends before the next one starts, unless a try takes longer than 20 s."""
_log = structlog.get_logger(__name__)
_LANES = 3
"""Tries of one caller at once, while few callers have turns. It leaves a slot of a host to first tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    tried: int
    """Events that were due."""
    left: int
    """Callers that wait for a turn. They get the first ones of the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDeliveries:
    """`at_once` tries run at the same time.

    Two runs at once are harmless, but may send an event twice.
    """

    logs: WebhookLogs
    deliver: Callable[[TaskEvent], None]
    clock: Clock
    at_once: int

    def __call__(self) -> Retried:
        """Give each caller with due deliveries a turn, and more of them while there is time.

        Raises the first error of a turn, at the end; the next run finds the rest.
        """
        run = _Run(retries=self, ends=self.clock.now() + RUN)
        callers = self._callers_due()
        while callers and self.clock.now() < run.ends:
            made = run.round(callers)
            callers = self._callers_due()
            if not made:
                break
        if run.errors:
            raise run.errors[0]
        return Retried(tried=run.tried, left=len(callers))

    def _callers_due(self) -> tuple[str, ...]:
        return self.logs.callers_due(now=self.clock.now(), limit=MAX_CALLERS)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run. Its turns are on several threads."""

    retries: RetryDeliveries
    ends: datetime
    tried: int = 0
    errors: list[Exception] = field(default_factory=list)
    _task_ids: set[str] = field(default_factory=set)
    """Each task once, so that a log that stays due does not occupy the run."""

    def round(self, callers: tuple[str, ...]) -> int:
        """Give each caller a turn. Return how many events were tried."""
        at_once = self.retries.at_once
        lanes = max(1, min(_LANES, at_once // len(callers)))
        with ThreadPoolExecutor(at_once, thread_name_prefix="webhook-retries") as pool:
            turns = [
                pool.submit(self._turn, user_id, lane, lanes) for user_id in callers for lane in range(lanes)
            ]
        made = sum(turn.result() for turn in turns)
        self.tried += made
        return made

    def _turn(self, user_id: str, lane: int, lanes: int) -> int:
        """Try a share of the caller's due events. Return how many.

        An error ends neither the turn, because of one damaged log, nor those of others.
        """
        logs, clock = self.retries.logs, self.retries.clock
        began, tried = clock.now(), 0
        if began >= self.ends:
            return 0
        try:
            for task_id in logs.due_of(user_id, now=began, limit=MAX_LOGS):
                if crc32(task_id.encode()) % lanes == lane and task_id not in self._task_ids:
                    tried += self._try_events(task_id, began + TURN)
            logs.settle(user_id, now=clock.now())
        except DependencyUnavailableError as error:
            self.errors.append(error)
        return tried

    def _try_events(self, task_id: str, ends: datetime) -> int:
        """Try the due events of a task. Return how many."""
        clock, tried = self.retries.clock, 0
        if clock.now() >= ends:
            return 0
        self._task_ids.add(task_id)
        try:
            for due in self.retries.logs.get(task_id).events_due(now=clock.now()):
                if clock.now() >= ends:
                    break
                with carried_on(due.traceparent):
                    self.retries.deliver(due.event)
                tried += 1
        except Exception as error:
            _log.exception("webhook_retry_failed", task_id=task_id)
            self.errors.append(error)
        return tried
