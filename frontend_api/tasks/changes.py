"""Changes of a task by its owner: cancel, retry and label."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from common.domain.errors import DependencyUnavailableError, FieldProblem, ParametersRejectedError
from common.domain.task import Task, TaskStatus
from common.ports import Clock, TaskStore
from frontend_api.content_policy.ports import ContentPolicy
from frontend_api.inputs.use import UseInputs
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.final_events import PublishFinalEvent, with_event_pending
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.submit import TaskNotConfirmedError

MAX_LABELS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask:
    """Cancels at once while the task is queued, and by setting a flag while a worker holds it."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTask:
    """Queues a task again, with the same id and seed and all its attempts."""

    content_policy: ContentPolicy
    store: TaskStore
    publisher: TaskPublisher
    inputs: UseInputs
    clock: Clock
    quotas: Quotas
    is_limited: bool = True
    """Whether the owner's quotas may refuse a retry. It counts in any case."""

    def __call__(self, user_id: str, task_id: str) -> Task:
        """Queue the task again and return it.

        Raises TaskNotFoundError, InvalidTransitionError, TaskNotConfirmedError,
        ContentPolicyError if the policy has changed, ParametersRejectedError if an input no longer
        exists, and QuotaExceededError and QueueFullError because it adds a queued task.
        """
        owned = ReadTask(store=self.store)(user_id, task_id)
        self.content_policy.check(owned.parameters)
        (refusal,) = self.inputs.keep([owned])
        if refusal is not None:
            raise refusal
        now = self.clock.now()
        with self.quotas.submission_of(owned, is_limited=self.is_limited):
            queued = self.store.update(task_id, lambda task: task.resubmitted(now), last_seen=owned)
        try:
            self.publisher.publish(queued)
        except DependencyUnavailableError as exc:
            raise TaskNotConfirmedError(task_id, exc) from exc
        return queued


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTask:
    store: TaskStore
    clock: Clock

    def __call__(self, user_id: str, task_id: str, labels: Mapping[str, str | None]) -> Task:
        """Set labels, remove those whose value is None, and return the task.

        Raises TaskNotFoundError, and ParametersRejectedError if the task would have too many labels.
        """
        owned = ReadTask(store=self.store)(user_id, task_id)
        now = self.clock.now()

        def change(task: Task) -> Task:
            merged = {**task.labels, **labels}
            kept = {name: value for name, value in merged.items() if value is not None}
            if len(kept) > MAX_LABELS:
                detail = f"a task has at most {MAX_LABELS} labels, got {len(kept)}"
                raise ParametersRejectedError(detail, (FieldProblem("/labels", detail),))
            return task.labelled(kept, now)

        return self.store.update(task_id, change, last_seen=owned)


def _cancelled(task: Task, now: datetime) -> Task:
    if task.status.is_terminal:
        return task
    if task.status is TaskStatus.QUEUED:
        return with_event_pending(task.cancelled(now))
    return task.cancel_requested(now)
