"""EnqueuedNotes: that Pub/Sub confirmed a task's message is written down a moment after the caller was answered.

Nobody waits for it, and where many tasks come at once one call notes them all.
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
from frontend_api.task_batches import TaskBatches

_MOST_AT_ONCE = 500
_log = structlog.get_logger(__name__)


class EnqueuedNotes:
    """Safe to share between threads. A note that is lost costs one needless message later, nothing else.

    `writer` is one thread, and what it was given before the process ends is done before the process ends.
    """

    def __init__(self, *, batches: TaskBatches, writer: Executor, gather_seconds: float = 0.1) -> None:
        self._batches = batches
        self._writer = writer
        self._gather_seconds = gather_seconds
        self._lock = threading.Lock()
        self._unwritten: dict[str, tuple[Task, datetime]] = {}

    def note(self, tasks: Iterable[Task], now: datetime) -> None:
        """A message for each of these, one at least, as the store returned them, was confirmed."""
        with self._lock:
            must_begin = not self._unwritten
            self._unwritten |= {task.id: (task, now) for task in tasks}
        if must_begin:
            self._begin()

    def holds(self, task_id: str) -> bool:
        """Whether a task's message was confirmed here, though the stored task does not say so yet."""
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
            # A task that has changed since is left alone: a claim says as much, and whoever ended it needs no note.
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
