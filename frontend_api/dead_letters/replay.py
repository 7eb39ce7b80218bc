"""Replay a dead letter: queue its task again, with all its attempts."""

from dataclasses import dataclass

from common.domain.errors import InvalidTransitionError
from common.domain.task import Task, TaskStatus
from common.ports import Clock, TaskStore
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.tasks.changes import RetryTask
from frontend_api.tasks.publisher import TaskPublisher


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDeadLetter:
    """Replays dead letters.

    The new message is built from the stored task; the letter only identifies the task.
    """

    archive: DeadLetterArchive
    store: TaskStore
    publisher: TaskPublisher
    retry_task: RetryTask
    clock: Clock

    def __call__(self, letter_id: str) -> Task:
        """Queue the task again and return it. Repeatable: an extra message is harmless.

        Raises DeadLetterNotFoundError, DeadLetterUndecodableError, TaskNotFoundError,
        InvalidTransitionError for a completed or cancelled task, and the errors of RetryTask.
        """
        task = self.store.get(self.archive.get(letter_id).task_message().task_id)
        queued = self._publish_again(task)
        self.archive.record_replay(letter_id, self.clock.now())
        return queued

    def _publish_again(self, task: Task) -> Task:
        if task.status is TaskStatus.FAILED or task.is_partial:
            return self.retry_task(task.user_id, task.id)
        if task.status.is_terminal:
            raise InvalidTransitionError(f"task {task.id!r} is {task.status}; there is nothing to replay")
        self.publisher.publish(task)
        return task
