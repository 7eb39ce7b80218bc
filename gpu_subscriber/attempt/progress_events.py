"""Start and progress events for owners who requested them. Best-effort.

A final event is always published before its delivery is acknowledged. Start and progress events
must not delay the heartbeat: a separate thread publishes them, rate-limited, and drops those that
fail.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.ports import Clock, EventPublisher

_log = structlog.get_logger(__name__)
_MAX_PENDING = 100
"""Over all tasks. The queue grows this long only while Pub/Sub is unavailable."""
Run = Callable[[Callable[[], None]], object]


class ProgressEvents:
    """Shared by all tasks of the worker. Thread-safe. No call blocks or raises."""

    def __init__(
        self, events: EventPublisher, *, clock: Clock, progress_seconds: float, run: Run | None = None
    ) -> None:
        self._events = events
        self._clock = clock
        self._pause = timedelta(seconds=progress_seconds)
        self._run: Run = run or ThreadPoolExecutor(1, thread_name_prefix="progress-events").submit
        self._published_at: dict[str, datetime] = {}
        self._waiting = 0
        self._lock = threading.Lock()

    def started(self, task: Task) -> None:
        """Publish that an attempt has started."""
        if _is_asked_for("started", task):
            self._publish(lambda: self._events.publish_start(task), task)

    def progressed(self, task: Task) -> None:
        """Publish the progress, at most every `progress_seconds` per task."""
        if _is_asked_for("progress", task) and self._is_due(task.id):
            self._publish(lambda: self._events.publish_progress(task), task)

    def _is_due(self, task_id: str) -> bool:
        now = self._clock.now()
        with self._lock:
            recent = {known: at for known, at in self._published_at.items() if at + self._pause > now}
            self._published_at = recent | {task_id: recent.get(task_id, now)}
            return task_id not in recent

    def _publish(self, publish: Callable[[], None], task: Task) -> None:
        with self._lock:
            if self._waiting >= _MAX_PENDING:
                return
            self._waiting += 1

        def published() -> None:
            try:
                publish()
            except DependencyUnavailableError as error:
                _log.warning("progress_event_not_published", task_id=task.id, dependency=error.dependency)
            finally:
                with self._lock:
                    self._waiting -= 1

        self._run(published)


def _is_asked_for(event: str, task: Task) -> bool:
    return task.callback_url is not None and event in task.callback_events
