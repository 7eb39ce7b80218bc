"""Delete expired tasks with their images and webhook logs.

`docs/adr/0009-expiry-of-tasks-and-images.md` describes the fallback, and why no data of an active task can
be deleted.
"""

from dataclasses import dataclass

import structlog

from common.domain.task import Task
from common.observability.metrics import TASKS_EXPIRED, counter
from common.ports import Clock, TaskStore
from frontend_api.images.ports import ImageBucket
from frontend_api.webhooks.ports import WebhookLogs

_log = structlog.get_logger(__name__)
_expired = counter(TASKS_EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveExpiredTasks:
    store: TaskStore
    images: ImageBucket
    webhook_logs: WebhookLogs
    clock: Clock
    page_size: int = 100
    max_pages: int = 10
    """Pages per round; the next round continues."""

    def __call__(self) -> int:
        """Delete the tasks and return their number.

        Raises DependencyUnavailableError midway; the next round continues.
        """
        now = self.clock.now()
        removed, after = 0, None
        for _ in range(self.max_pages):
            page = self.store.list_expired(now=now, limit=self.page_size, after=after)
            removed += sum(self._removed(task) for task in page)
            if len(page) < self.page_size:
                break
            after = page[-1]
        if removed:
            _log.info("expired_tasks_removed", tasks=removed)
            _expired.add(removed)
        return removed

    def _removed(self, task: Task) -> bool:
        """Delete the document first, if it is unchanged: a retry makes the task active again.

        A crash in between leaves unused objects behind; the other order could delete an active
        task's.
        """
        if not self.store.delete_unchanged(task):
            return False
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task.id)
        return True
