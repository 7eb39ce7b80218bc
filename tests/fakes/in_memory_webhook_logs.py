"""InMemoryWebhookLogs: WebhookLogs in a dictionary."""

import threading
from collections.abc import Callable
from dataclasses import replace

from frontend_api.webhooks.delivery_log import WebhookLog
from tests.fakes.outage import Outage


class InMemoryWebhookLogs(Outage):
    def __init__(self) -> None:
        self._logs: dict[str, WebhookLog] = {}
        self._lock = threading.RLock()
        self._writes = 0

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
            return after

    def delete(self, task_id: str) -> None:
        with self._lock:
            self._check()
            self._logs.pop(task_id, None)
