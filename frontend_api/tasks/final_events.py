"""Publish the final event of a task that the API finished, and store that it was confirmed.

The final status is stored together with `event_pending_since`. If the process fails to publish the
event, or dies before, rescue finds the task and publishes the event; a repeated call does so sooner.
"""

from dataclasses import dataclass, field, replace

import structlog

from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from common.domain.task import Task
from common.observability.gpu_cost import GpuCost
from common.observability.metrics import TASKS_FINISHED, counter
from common.ports import EventPublisher, TaskStore

_log = structlog.get_logger(__name__)
_finished = counter(TASKS_FINISHED)


def with_event_pending(finished: Task) -> Task:
    """Return a finished task whose final event is still to be confirmed."""
    return replace(finished, event_pending_since=finished.finished_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFinalEvent:
    store: TaskStore
    events: EventPublisher
    bill: GpuCost = field(default_factory=GpuCost)
    """Counts the device seconds wasted because no worker resumes from their checkpoints."""

    def __call__(self, task: Task) -> Task:
        """Publish the event if it is pending and return the task.

        Never raises: an event that cannot be published now stays pending, and rescue publishes it.
        """
        try:
            return self.or_raise(task)
        except DependencyUnavailableError as error:
            _log.warning("final_event_not_published", task_id=task.id, dependency=error.dependency)
            return task

    def or_raise(self, task: Task) -> Task:
        """Do the same, but raise DependencyUnavailableError if the event cannot be published."""
        if task.event_pending_since is None or not task.status.is_terminal:
            return task
        finished_at = task.finished_at

        def confirmed(stored: Task) -> Task:
            # The task may have been retried and finished again; that event is not published yet.
            return replace(stored, event_pending_since=None) if stored.finished_at == finished_at else stored

        self.events.publish(task)
        _count(task)
        try:
            return self.store.update(task.id, confirmed, last_seen=task)
        except TaskNotFoundError:
            return task  # deleted meanwhile; the event is published nevertheless


def _count(task: Task) -> None:
    """Count a finished task when its event is published, by this call or later by rescue."""
    attributes = {"model": task.parameters.model, "status": task.status.value}
    if task.failure is not None:
        attributes["error.type"] = task.failure.code
    _finished.add(1, attributes)
