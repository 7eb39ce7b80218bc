"""TaskCourse: tells owners who asked for it that their task began and how far it is. Best effort, and in nobody's way.

An ending is published before its delivery is acknowledged, for certain. What happens on the way there is not worth a
heartbeat that waits for Pub/Sub: it is told on a thread of its own, rarely, and whatever cannot be told is dropped.
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
_MAX_WAITING = 100
"""Events of all tasks. So many wait only while Pub/Sub is away, and are of no interest by then."""
Run = Callable[[Callable[[], None]], object]


class TaskCourse:
    """One for all tasks of the worker; from any thread. No call blocks or raises."""

    def __init__(
        self, events: EventPublisher, *, clock: Clock, progress_seconds: float, run: Run | None = None
    ) -> None:
        self._events = events
        self._clock = clock
        self._pause = timedelta(seconds=progress_seconds)
        self._run: Run = run or ThreadPoolExecutor(1, thread_name_prefix="task-course").submit
        self._told_at: dict[str, datetime] = {}
        self._waiting = 0
        self._lock = threading.Lock()

    def started(self, task: Task) -> None:
        """An attempt has begun."""
        if _is_asked_for("started", task):
            self._tell(lambda: self._events.publish_start(task), task)

    def progressed(self, task: Task) -> None:
        """More of it is done. Told at most every `progress_seconds` of each task."""
        if _is_asked_for("progress", task) and self._is_due(task.id):
            self._tell(lambda: self._events.publish_progress(task), task)

    def _is_due(self, task_id: str) -> bool:
        now = self._clock.now()
        with self._lock:
            recent = {known: at for known, at in self._told_at.items() if at + self._pause > now}
            self._told_at = recent | {task_id: recent.get(task_id, now)}
            return task_id not in recent

    def _tell(self, publish: Callable[[], None], task: Task) -> None:
        with self._lock:
            if self._waiting >= _MAX_WAITING:
                return
            self._waiting += 1

        def told() -> None:
            try:
                publish()
            except DependencyUnavailableError as error:
                _log.warning("course_not_told", task_id=task.id, dependency=error.dependency)
            finally:
                with self._lock:
                    self._waiting -= 1

        self._run(told)


def _is_asked_for(event: str, task: Task) -> bool:
    return task.callback_url is not None and event in task.callback_events
