"""Delete a task with everything that was made for it."""

from dataclasses import dataclass

from common.ports import Clock, TaskStore
from frontend_api.cancel_task import CancelTask
from frontend_api.ports import ImageBucket
from frontend_api.webhooks.ports import WebhookLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTask:
    """The use case."""

    store: TaskStore
    images: ImageBucket
    webhook_logs: WebhookLogs
    cancel_task: CancelTask
    clock: Clock

    def __call__(self, user_id: str, task_id: str) -> None:
        """Cancel if needed, remove the images and the log of webhooks, then the document. Raises TaskNotFoundError.

        The document goes last: were it gone and the others not, nobody could ask for their removal again. What the
        task had cost stays in its owner's usage.
        """
        task = self.cancel_task(user_id, task_id)
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task_id)
        self.store.delete(task_id, now=self.clock.now())
        # The worker that finds no task any more counts its own seconds; no attempt will use the earlier ones.
        earlier = sum(run.gpu_seconds for run in task.usage.open_runs)
        self.cancel_task.tell_ending.bill.count(model=task.parameters.model, cancelled=earlier)
        if not task.status.is_terminal:
            # A worker may have stored an image in between; from now on it finds no task and stores no more.
            self.images.remove_folder(task.folder)
