"""Remove the tasks whose time is up, with everything that was made for them.

`docs/adr/0009-what-expires-when.md` says what is the net under this, and why nothing of a living task can be taken.
"""

from dataclasses import dataclass

import structlog

from common.domain.task import Task
from common.observability.metrics import TASKS_EXPIRED, counter
from common.ports import Clock, TaskStore
from frontend_api.ports import ImageBucket
from frontend_api.webhooks.ports import WebhookLogs

_log = structlog.get_logger(__name__)
_expired = counter(TASKS_EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveExpiredTasks:
    """The use case."""

    store: TaskStore
    images: ImageBucket
    webhook_logs: WebhookLogs
    clock: Clock
    page_size: int = 100
    max_pages: int = 10
    """In one round; the next one goes on."""

    def __call__(self) -> int:
        """Returns how many were removed. Raises DependencyUnavailableError midway; the next round goes on."""
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
        """The document first, and only as it was listed: a retry since then has made the task a living one.

        A crash in between leaves objects behind that belong to nobody; the other order could take a living task's.
        """
        if not self.store.delete_unchanged(task):
            return False
        self.images.remove_folder(task.folder)
        self.webhook_logs.delete(task.id)
        return True
