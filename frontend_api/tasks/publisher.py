"""Publish tasks for the workers, and store afterwards that Pub/Sub confirmed the messages.

No caller waits for the second step, and one write stores the confirmations of many tasks.
"""

import threading
import time
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime
from itertools import islice

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task, TaskStatus
from common.ports import Clock
from frontend_api.tasks.ports import TaskBatches, TaskQueue

_MAX_PER_WRITE = 500
_log = structlog.get_logger(__name__)


class TaskPublisher:
    """Safe to share between threads.

    A lost confirmation costs one needless message later and nothing else. `writer` is one thread,
    and it finishes its submitted work before the process exits.
    """

    def __init__(
        self,
        *,
        queue: TaskQueue,
        batches: TaskBatches,
        writer: Executor,
        clock: Clock,
        gather_seconds: float,
    ) -> None:
        self._queue = queue
        self._batches = batches
        self._writer = writer
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._lock = threading.Lock()
        self._unwritten: dict[str, tuple[Task, datetime]] = {}
        """By id: the task as published, and when Pub/Sub confirmed its message."""

    def publish(self, *tasks: Task) -> None:
        """Return once Pub/Sub has confirmed a message for each task.

        The tasks must be as the store returned them. Raises DependencyUnavailableError.
        """
        self._queue.publish(*tasks)
        now = self._clock.now()
        with self._lock:
            is_idle = not self._unwritten
            self._unwritten |= {task.id: (task, now) for task in tasks}
        if is_idle:
            self._schedule_write()

    def needs_message(self, task: Task) -> bool:
        """Return whether no message for a stored task is confirmed.

        The request that stored it died, timed out or is still running. One message too many is
        harmless; one too few is not.
        """
        if task.enqueued_at is not None or task.status is not TaskStatus.QUEUED:
            return False
        with self._lock:
            unwritten = self._unwritten.get(task.id)
        # Otherwise the message is that of a deleted task with this id, or from before a retry.
        return unwritten is None or unwritten[0].queued_at != task.queued_at

    def _schedule_write(self) -> None:
        with suppress(RuntimeError):  # the process is ending
            self._writer.submit(self._write)

    def _write(self) -> None:
        time.sleep(self._gather_seconds)
        with self._lock:
            confirmed = dict(islice(self._unwritten.items(), _MAX_PER_WRITE))
        try:
            # A changed task is skipped: a claim implies a message, and a finished task needs none.
            self._batches.update_unchanged(
                [task for task, _ in confirmed.values()], lambda task: task.enqueued(confirmed[task.id][1])
            )
        except DependencyUnavailableError as error:
            _log.warning("publish_confirmations_lost", tasks=len(confirmed), reason=error.code)
        finally:
            with self._lock:
                for task_id, written in confirmed.items():
                    if self._unwritten[task_id] is written:  # else it was published again meanwhile
                        del self._unwritten[task_id]
                has_more = bool(self._unwritten)
            if has_more:
                self._schedule_write()
