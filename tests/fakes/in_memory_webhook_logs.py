"""InMemoryWebhookLogs: WebhookLogs in a dictionary."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from frontend_api.webhooks.delivery_log import WebhookLog
from tests.fakes.outage import Outage


class InMemoryWebhookLogs(Outage):
    def __init__(self) -> None:
        self._logs: dict[str, WebhookLog] = {}
        self._lock = threading.RLock()
        self._writes = 0
        self._due_at: dict[str, datetime] = {}
        """By caller."""

    @property
    def all_logs(self) -> tuple[WebhookLog, ...]:
        with self._lock:
            return tuple(self._logs.values())

    def get(self, task_id: str) -> WebhookLog:
        with self._lock:
            self._check()
            return self._logs.get(task_id, WebhookLog(task_id=task_id))

    def update(
        self, task_id: str, change: Callable[[WebhookLog], WebhookLog], *, last_seen: WebhookLog | None = None
    ) -> WebhookLog:
        with self._lock:
            before = self.get(task_id)
            after = change(before)
            if after is not before:
                self._writes += 1
                after = self._logs[task_id] = replace(after, revision=str(self._writes))
                turn_at = after.turn_after(before)
                if turn_at is not None and after.user_id is not None:
                    self._due_at[after.user_id] = min(self._due_at.get(after.user_id, turn_at), turn_at)
            return after

    def delete(self, task_id: str) -> None:
        with self._lock:
            self._check()
            self._logs.pop(task_id, None)

    def callers_due(self, *, now: datetime, limit: int) -> tuple[str, ...]:
        with self._lock:
            self._check()
            due = [user_id for user_id, at in self._due_at.items() if at <= now]
            return tuple(sorted(due, key=self._due_at.__getitem__)[:limit])

    def due_of(self, user_id: str, *, now: datetime, limit: int) -> tuple[str, ...]:
        with self._lock:
            self._check()
            due = {log.task_id: at for log, at in self._scheduled(user_id) if at <= now}
            return tuple(sorted(due, key=due.__getitem__)[:limit])

    def settle(self, user_id: str, *, now: datetime) -> None:
        with self._lock:
            self._check()
            next_at = min((at for _, at in self._scheduled(user_id)), default=None)
            if next_at is None:
                self._due_at.pop(user_id, None)
            else:
                self._due_at[user_id] = max(now, next_at)

    def _scheduled(self, user_id: str) -> tuple[tuple[WebhookLog, datetime], ...]:
        return tuple(
            (log, log.retry_at)
            for log in self._logs.values()
            if log.user_id == user_id and log.retry_at is not None
        )
