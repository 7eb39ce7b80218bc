"""Retry a task that failed or was cancelled: the same id and seed, queued anew with all its attempts."""

from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.ports import Clock, TaskStore
from frontend_api.ports import TaskQueue
from frontend_api.quotas import Quotas
from frontend_api.read_task import ReadTask
from frontend_api.submit_task import TaskNotConfirmedError, noted_as_enqueued


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTask:
    """The use case."""

    store: TaskStore
    queue: TaskQueue
    clock: Clock
    quotas: Quotas

    def __call__(self, user_id: str, task_id: str) -> Task:
        """The task, queued. Raises TaskNotFoundError, InvalidTransitionError, TaskNotConfirmedError.

        Raises QuotaExceededError and QueueFullError, for it is one more that waits.
        """
        owned = ReadTask(store=self.store)(user_id, task_id)
        now = self.clock.now()
        with self.quotas.retry_of(user_id):
            queued = self.store.update(task_id, lambda task: task.resubmitted(now), last_seen=owned)
        try:
            self.queue.publish(queued)
        except DependencyUnavailableError as exc:
            raise TaskNotConfirmedError(task_id, exc) from exc
        return noted_as_enqueued(self.store, queued, self.clock.now())
