"""Tell the ending of a task that the API ended: publish its event, and note that it was confirmed.

The note is what makes it certain. An ending is stored as untold, together with the status; whoever fails to publish
its event, or dies before, leaves a task that rescue finds, and a repeated call finds it sooner.
"""

from dataclasses import dataclass, field, replace

import structlog

from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from common.domain.task import Task
from common.observability.gpu_bill import GpuBill
from common.observability.metrics import TASKS_FINISHED, counter
from common.ports import EventPublisher, TaskStore

_log = structlog.get_logger(__name__)
_finished = counter(TASKS_FINISHED)


def untold(ended: Task) -> Task:
    """A task that has just ended, its event still to be confirmed."""
    return replace(ended, untold_since=ended.finished_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellEnding:
    """The use case."""

    store: TaskStore
    events: EventPublisher
    bill: GpuBill = field(default_factory=GpuBill)
    """Counts the device seconds that become wasted because no worker goes on from their checkpoints."""

    def __call__(self, task: Task) -> Task:
        """The task afterwards; the same when there is nothing to tell.

        Never raises: when it cannot be told now, the ending stands all the same, and rescue will tell it.
        """
        try:
            return self.at_once(task)
        except DependencyUnavailableError as error:
            _log.warning("ending_not_told", task_id=task.id, dependency=error.dependency)
            return task

    def at_once(self, task: Task) -> Task:
        """The same, but raises DependencyUnavailableError when it cannot be told now."""
        if task.untold_since is None:
            return task
        ended_at = task.finished_at

        def told(stored: Task) -> Task:
            # A retry may have come between, and even another ending, of which nobody has been told.
            return replace(stored, untold_since=None) if stored.finished_at == ended_at else stored

        self.events.publish(task)
        _count(task)
        try:
            return self.store.update(task.id, told, last_seen=task)
        except TaskNotFoundError:
            return task  # deleted meanwhile, and told all the same


def _count(task: Task) -> None:
    """Endings are counted when they are told, which each is, if not by this call then by rescue."""
    attributes = {"model": task.parameters.model, "status": task.status.value}
    if task.failure is not None:
        attributes["error.type"] = task.failure.code
    _finished.add(1, attributes)
