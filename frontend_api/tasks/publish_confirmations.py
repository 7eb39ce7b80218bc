"""PublishConfirmations: stores that Pub/Sub confirmed a task's message, after the caller was answered.

No caller waits for it, and one call stores the confirmations of many tasks.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime
from itertools import islice

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from frontend_api.tasks.task_batches import TaskBatches

_MOST_AT_ONCE = 500
_log = structlog.get_logger(__name__)


class PublishConfirmations:
    """Stores confirmations in the background. Safe to share between threads.

    A lost confirmation costs one needless message later and nothing else. `writer` is one thread,
    and it finishes its submitted work before the process exits.
    """

    def __init__(self, *, batches: TaskBatches, writer: Executor, gather_seconds: float = 0.1) -> None:
        self._batches = batches
        self._writer = writer
        self._gather_seconds = gather_seconds
        self._lock = threading.Lock()
        self._unwritten: dict[str, tuple[Task, datetime]] = {}

    def note(self, tasks: Iterable[Task], now: datetime) -> None:
        """Record that a message for each of these tasks was confirmed.

        The tasks must be as the store returned them.
        """
        with self._lock:
            must_begin = not self._unwritten
            self._unwritten |= {task.id: (task, now) for task in tasks}
        if must_begin:
            self._begin()

    def holds(self, task_id: str) -> bool:
        """Return whether this process has a confirmation for the task that is not stored yet."""
        with self._lock:
            return task_id in self._unwritten

    def _begin(self) -> None:
        with suppress(RuntimeError):  # the process is ending
            self._writer.submit(self._write)

    def _write(self) -> None:
        time.sleep(self._gather_seconds)
        with self._lock:
            notes = dict(islice(self._unwritten.items(), _MOST_AT_ONCE))
        try:
            # A task that has changed since is skipped: a claim implies a message, and a finished
            # task needs none.
            self._batches.update_unchanged(
                [task for task, _ in notes.values()], lambda task: task.enqueued(notes[task.id][1])
            )
        except DependencyUnavailableError as error:
            _log.warning("enqueued_notes_lost", tasks=len(notes), reason=error.code)
        finally:
            with self._lock:
                for task_id in notes:
                    del self._unwritten[task_id]
                must_go_on = bool(self._unwritten)
            if must_go_on:
                self._begin()
