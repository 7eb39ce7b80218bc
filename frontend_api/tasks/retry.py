"""Retry a failed or cancelled task: the same id and seed, queued again with all its attempts."""

from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.ports import Clock, TaskStore
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.submit import TaskNotConfirmedError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTask:
    store: TaskStore
    publisher: TaskPublisher
    clock: Clock
    quotas: Quotas

    def __call__(self, user_id: str, task_id: str) -> Task:
        """Queue the task again and return it.

        Raises TaskNotFoundError, InvalidTransitionError, TaskNotConfirmedError, and
        QuotaExceededError and QueueFullError because it adds a queued task.
        """
        owned = ReadTask(store=self.store)(user_id, task_id)
        now = self.clock.now()
        with self.quotas.retry_of(user_id):
            queued = self.store.update(task_id, lambda task: task.resubmitted(now), last_seen=owned)
        try:
            self.publisher.publish(queued)
        except DependencyUnavailableError as exc:
            raise TaskNotConfirmedError(task_id, exc) from exc
        return queued
