"""Retry deliveries: try those again that are due. Called each minute.

Each caller gets the same share: one turn per run, the caller that has waited longest first.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from common.observability.tracing import carried_on
from common.ports import Clock
from common.wire_formats.task_event import TaskEvent
from frontend_api.webhooks.delivery_log import DueEvent
from frontend_api.webhooks.ports import WebhookLogs

MAX_CALLERS = 1_000
"""Callers per run."""
MAX_LOGS = 300
"""Logs per turn."""
RUN = timedelta(seconds=30)
"""No turn starts later in a run."""
TURN = timedelta(seconds=10)
"""No try starts later in a turn. So a run ends before the next one starts, unless a try takes longer than 20 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    tried: int
    """Events that were due."""
    left: int
    """Callers without a turn. They get the first ones of the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDeliveries:
    """`at_once` callers have their turns at the same time. A caller has one try at a time.

    Two runs at once are harmless, but may send an event twice.
    """

    logs: WebhookLogs
    deliver: Callable[[TaskEvent], None]
    clock: Clock
    at_once: int

    def __call__(self) -> Retried:
        """Give each caller with due deliveries a turn.

        Raises DependencyUnavailableError after the other turns; the next run finds the rest.
        """
        began = self.clock.now()
        callers = self.logs.callers_due(now=began, limit=MAX_CALLERS)
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="webhook-retries") as pool:
            turns = tuple(pool.map(partial(self._turn, ends=began + RUN), callers))
        return Retried(tried=sum(turn or 0 for turn in turns), left=turns.count(None))

    def _turn(self, user_id: str, *, ends: datetime) -> int | None:
        """Return how many events of the caller were tried; None if it was too late for its turn."""
        began, tried = self.clock.now(), 0
        if began >= ends:
            return None
        for due in self._due_of(user_id):
            if self.clock.now() >= began + TURN:
                break
            with carried_on(due.traceparent):
                self.deliver(due.event)
            tried += 1
        self.logs.settle(user_id, now=self.clock.now())
        return tried

    def _due_of(self, user_id: str) -> Iterator[DueEvent]:
        for task_id in self.logs.due_of(user_id, now=self.clock.now(), limit=MAX_LOGS):
            yield from self.logs.get(task_id).events_due(now=self.clock.now())
