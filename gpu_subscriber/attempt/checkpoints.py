"""Checkpoints that let the next attempt resume. They only save time; none is required."""

import threading
from collections.abc import Mapping

import structlog

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from gpu_subscriber.attempt.outcomes import may_resume_after
from gpu_subscriber.ports import Checkpoint, CheckpointStore

_log = structlog.get_logger(__name__)


class CheckpointKeeper:
    """Reads the store only if a checkpoint may exist, and tolerates its errors."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._saved: set[str] = set()

    def checkpoints_of(self, task: Task) -> Mapping[int, Checkpoint]:
        """Return the checkpoints of earlier attempts. A first attempt makes no call."""
        if task.attempt <= 1:
            return {}
        try:
            found = self._store.load(task.folder)
        except DependencyUnavailableError:
            _log.warning("checkpoints_not_loaded", task_id=task.id)
            return {}
        steps = {str(index): checkpoint.step for index, checkpoint in found.items()}
        _log.info("checkpoints_loaded", task_id=task.id, attempt=task.attempt, steps=steps)
        return found

    def keep(self, task: Task, checkpoint: Checkpoint) -> None:
        """Store a checkpoint for the next attempt, if the store is available."""
        try:
            self._store.save(task.folder, checkpoint)
        except DependencyUnavailableError:
            _log.warning("checkpoint_not_saved", task_id=task.id, index=checkpoint.index)
        else:
            with self._lock:
                self._saved.add(task.folder)

    def has_saved(self, task: Task) -> bool:
        """Return whether this attempt has stored any."""
        with self._lock:
            return task.folder in self._saved

    def attempt_ended(self, task: Task) -> None:
        """Delete checkpoints that no later attempt should resume from."""
        may_have_some = self.has_saved(task) or task.attempt > 1
        if may_have_some and not may_resume_after(task):
            self.discard(task.id, task.folder)

    def discard(self, task_id: str, folder: str) -> bool:
        """Delete all checkpoints of a task, if the store is available; return whether it is."""
        try:
            self._store.discard(folder)
        except DependencyUnavailableError:
            _log.warning("checkpoints_not_discarded", task_id=task_id)
            return False
        return True

    def leave(self, task: Task) -> None:
        """Clear the state of the attempt in this process."""
        with self._lock:
            self._saved.discard(task.folder)
