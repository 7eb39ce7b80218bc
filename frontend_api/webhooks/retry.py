"""Retry deliveries: try those again that are due. Called each minute.

Callers take turns, the one that has waited longest first.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

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
MAX_POSTPONED = 30
"""How many more deliveries a lane finds no slot for than it tries, before it ends. Each costs this process
as much as a try, and a caller whose receivers do not respond may have thousands.
"""
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
    """`at_once` tries run at the same time. `deliver` returns whether a slot was free.

    Two runs at once are harmless, but may send an event twice.
    """

    logs: WebhookLogs
    deliver: Callable[[TaskEvent], bool]
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
    seen: set[str] = field(default_factory=set)
    """Each task once, so that a log that stays due does not occupy the run."""
    without_slots: set[str] = field(default_factory=set)
    """The callers none of whose lanes found slots. They get no further turn."""

    def round(self, callers: tuple[str, ...]) -> int:
        """Give each caller a turn. Return how many events were tried."""
        at_once = self.retries.at_once
        lanes = max(1, min(_LANES, at_once // len(callers)))
        turns = [_Turn(run=self, user_id=user_id, lanes=lanes) for user_id in callers]
        with ThreadPoolExecutor(at_once, thread_name_prefix="webhook-retries") as pool:
            made = [pool.submit(turn.take_part) for turn in turns for _ in range(lanes)]
        tried = sum(each.result() for each in made)
        self.tried += tried
        return tried


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One caller's turn, on as many threads as it has lanes."""

    run: _Run
    user_id: str
    lanes: int
    """Those that have not ended."""
    _has_slots: bool = False
    """Whether a lane ended for another reason than a want of slots."""
    _ends: datetime | None = None
    """None before the first lane has started."""
    _due: deque[str] = field(default_factory=deque)
    """The ids of the tasks that no lane has taken, the longest due first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take_part(self) -> int:
        """Try events until none is left, or the turn ends. Return how many.

        The first lane finds what is due. The last one settles the caller's turn. An error ends neither
        the turn, because of one damaged log, nor those of others.
        """
        tried, credit = 0, MAX_POSTPONED
        with self._lock:
            if self._ends is None:
                self._begin()
        while credit > 0 and (task_id := self._next()) is not None:
            had_slot = self._try_events(task_id)
            tried += len(had_slot)
            for each in had_slot:
                credit = min(MAX_POSTPONED, credit + 1 if each else credit - 1)
        with self._lock:
            self._has_slots |= credit > 0
            self.lanes -= 1
            if not self.lanes and self._ends is not None:
                self._end()
        return tried

    def _begin(self) -> None:
        retries, now = self.run.retries, self.run.retries.clock.now()
        if now >= self.run.ends or self.user_id in self.run.without_slots:
            return
        self._ends = now + TURN
        try:
            found = retries.logs.due_of(self.user_id, now=now, limit=MAX_LOGS)
        except DependencyUnavailableError as error:
            self.run.errors.append(error)
            return
        self._due.extend(task_id for task_id in found if task_id not in self.run.seen)

    def _end(self) -> None:
        if not self._has_slots:
            self.run.without_slots.add(self.user_id)
        try:
            self.run.retries.logs.settle(self.user_id, now=self.run.retries.clock.now())
        except DependencyUnavailableError as error:
            self.run.errors.append(error)

    def _next(self) -> str | None:
        with self._lock:
            if not self._due or self._is_over:
                return None
            task_id = self._due.popleft()
            self.run.seen.add(task_id)
            return task_id

    def _try_events(self, task_id: str) -> list[bool]:
        """Try the due events of a task. Return whether each had a slot."""
        retries, had_slot = self.run.retries, []
        try:
            for due in retries.logs.get(task_id).events_due(now=retries.clock.now()):
                if self._is_over:
                    break
                with carried_on(due.traceparent):
                    had_slot.append(retries.deliver(due.event))
        except Exception as error:
            _log.exception("webhook_retry_failed", task_id=task_id)
            self.run.errors.append(error)
        return had_slot

    @property
    def _is_over(self) -> bool:
        return self._ends is None or self.run.retries.clock.now() >= self._ends
