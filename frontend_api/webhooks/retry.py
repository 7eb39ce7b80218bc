"""Retry deliveries: try those again that are due. Called each minute.

Callers take turns, the one that has waited longest first.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from common.observability.tracing import carried_on
from common.ports import Clock
from common.wire_formats.task_event import TaskEvent
from frontend_api.webhooks.delivery_log import DueEvent
from frontend_api.webhooks.ports import WebhookLogs

MAX_CALLERS = 1_000
"""Callers per round."""
MAX_LOGS = 300
"""Logs per turn."""
RUN = timedelta(seconds=30)
"""No turn starts later in a run."""
TURN = timedelta(seconds=10)
"""No try starts later in a turn. So a run ends before the next one starts, unless a try takes longer than 20 s."""
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

        Raises an error of a turn after the other turns of its round; the next run finds the rest.
        """
        ends, tried = self.clock.now() + RUN, 0
        callers = self._callers_due()
        while callers and self.clock.now() < ends:
            made = self._round(callers, ends)
            tried += made
            callers = self._callers_due()
            if not made:
                break
        return Retried(tried=tried, left=len(callers))

    def _callers_due(self) -> tuple[str, ...]:
        return self.logs.callers_due(now=self.clock.now(), limit=MAX_CALLERS)

    def _round(self, callers: tuple[str, ...], ends: datetime) -> int:
        """Give each caller a turn. Return how many events were tried."""
        lanes = max(1, min(_LANES, self.at_once // len(callers)))
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="webhook-retries") as pool:
            turns = [
                pool.submit(self._turn, user_id, lane=lane, lanes=lanes, ends=ends)
                for user_id in callers
                for lane in range(lanes)
            ]
        return sum(turn.result() for turn in turns)

    def _turn(self, user_id: str, *, lane: int, lanes: int, ends: datetime) -> int:
        """Try a share of the caller's due events. Return how many."""
        began, tried = self.clock.now(), 0
        if began >= ends:
            return 0
        try:
            for due in self._due_of(user_id, lane, lanes):
                if self.clock.now() >= began + TURN:
                    break
                with carried_on(due.traceparent):
                    self.deliver(due.event)
                tried += 1
        finally:
            self.logs.settle(user_id, now=self.clock.now())  # also after an error, behind the others
        return tried

    def _due_of(self, user_id: str, lane: int, lanes: int) -> Iterator[DueEvent]:
        for task_id in self.logs.due_of(user_id, now=self.clock.now(), limit=MAX_LOGS):
            if crc32(task_id.encode()) % lanes == lane:
                yield from self.logs.get(task_id).events_due(now=self.clock.now())
