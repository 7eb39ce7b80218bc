"""Delete a task with all that belongs to it: for its owner, or after it has expired."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import structlog

from common.domain.task import Task
from common.observability.metrics import TASKS_EXPIRED, counter
from common.ports import Clock, TaskStore
from frontend_api.images.ports import ImageBucket
from frontend_api.inputs.use import UseInputs
from frontend_api.shares.ports import ShareStore
from frontend_api.tasks.changes import CancelTask
from frontend_api.webhooks.ports import WebhookLogs

_log = structlog.get_logger(__name__)
_expired = counter(TASKS_EXPIRED)
REMOVAL = timedelta(minutes=5)
"""The longest removal of expired tasks. Expired inputs follow in the same call of the scheduler."""
_PAGE_SIZE = 100
_AT_ONCE = 8
"""A removal takes some calls to Firestore and the bucket, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTask:
    store: TaskStore
    images: ImageBucket
    inputs: UseInputs
    shares: ShareStore
    webhook_logs: WebhookLogs
    cancel_task: CancelTask
    clock: Clock

    def __call__(self, user_id: str, task_id: str) -> None:
        """Cancel the task if needed, then delete its links, images, webhook log and document.

        Raises TaskNotFoundError. The document is deleted after the others: otherwise a failure midway
        would leave data that a second call could not find. Then the others are deleted again: until
        then, a retry or a webhook try may have stored more. Later, a worker or a try finds no
        document and removes what it has stored. A link that is created meanwhile shows nothing and
        expires. The task's cost stays in its owner's usage.
        """
        task = self.cancel_task(user_id, task_id)
        self.shares.delete_all_of(task_id)
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task_id)
        self.store.delete(task_id, now=self.clock.now())
        # A worker that finds no task counts its own seconds; no attempt will use the earlier ones.
        earlier = sum(run.gpu_seconds for run in task.usage.open_runs)
        self.cancel_task.publish_final_event.bill.count(model=task.parameters.model, cancelled=earlier)
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task_id)
        self.inputs.release(task)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveExpiredTasks:
    """Deletes expired tasks with their images and webhook logs (ADR 9). Their links show nothing, and expire."""

    store: TaskStore
    images: ImageBucket
    inputs: UseInputs
    webhook_logs: WebhookLogs
    clock: Clock

    def __call__(self) -> int:
        """Delete the tasks, several at once, and return their number.

        Raises DependencyUnavailableError midway; the next round continues.
        """
        began = self.clock.now()
        removed, after = 0, None
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove-expired") as pool:
            while self.clock.now() - began < REMOVAL:
                page = self.store.list_expired(now=began, limit=_PAGE_SIZE, after=after)
                # One alone first: an outage of the bucket costs its document only.
                removed += sum(map(self._remove, page[:1]))
                removed += sum(pool.map(self._remove, page[1:]))
                if len(page) < _PAGE_SIZE:
                    break
                after = page[-1]
        if removed:
            _log.info("expired_tasks_removed", tasks=removed)
            _expired.add(removed)
        return removed

    def _remove(self, task: Task) -> bool:
        """Delete the document first, if it is unchanged: a retry makes the task active again.

        A failure in between leaves unused objects, which the bucket's lifecycle deletes in the cloud. The
        other order could delete an active task's.
        """
        if not self.store.delete_unchanged(task):
            return False
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task.id)
        self.inputs.release(task)
        return True
