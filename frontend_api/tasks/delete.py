"""Delete a task with its images and its webhook log."""

from dataclasses import dataclass

from common.ports import Clock, TaskStore
from frontend_api.images.ports import ImageBucket
from frontend_api.tasks.cancel import CancelTask
from frontend_api.webhooks.ports import WebhookLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTask:
    store: TaskStore
    images: ImageBucket
    webhook_logs: WebhookLogs
    cancel_task: CancelTask
    clock: Clock

    def __call__(self, user_id: str, task_id: str) -> None:
        """Cancel the task if needed, then delete its images, its webhook log and last its document.

        Raises TaskNotFoundError. The document is deleted last: otherwise a failure midway would
        leave data that a second call could not find. The cost of the task stays in its owner's
        usage.
        """
        task = self.cancel_task(user_id, task_id)
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task_id)
        self.store.delete(task_id, now=self.clock.now())
        # A worker that finds the task deleted counts its own seconds; no attempt will use the
        # earlier ones.
        earlier = sum(run.gpu_seconds for run in task.usage.open_runs)
        self.cancel_task.publish_final_event.bill.count(model=task.parameters.model, cancelled=earlier)
        if not task.status.is_terminal:
            # A worker may have stored an image meanwhile; from now on it finds no task and stores
            # no more.
            self.images.remove_folder(task.folder)
