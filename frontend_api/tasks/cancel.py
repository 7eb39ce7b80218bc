"""Cancel a task: immediately while it is queued, by setting a flag while a worker holds it."""

from dataclasses import dataclass
from datetime import datetime

from common.domain.task import Task, TaskStatus
from common.ports import Clock, TaskStore
from frontend_api.tasks.final_events import PublishFinalEvent, with_event_pending
from frontend_api.tasks.read import ReadTask


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask:
    store: TaskStore
    publish_final_event: PublishFinalEvent
    clock: Clock

    def __call__(self, user_id: str, task_id: str) -> Task:
        """Return the task: cancelled, processing with cancellation requested, or finished before.

        Idempotent. Raises TaskNotFoundError.
        """
        owned = ReadTask(store=self.store)(user_id, task_id)
        now = self.clock.now()
        found: list[Task] = []

        def change(task: Task) -> Task:
            found.append(task)
            return _cancelled(task, now)

        cancelled = self.store.update(task_id, change, last_seen=owned)
        self.publish_final_event.bill.count_settled(found[-1], cancelled)
        return self.publish_final_event(cancelled)


def _cancelled(task: Task, now: datetime) -> Task:
    if task.status.is_terminal:
        return task
    if task.status is TaskStatus.QUEUED:
        return with_event_pending(task.cancelled(now))
    return task.cancel_requested(now)
