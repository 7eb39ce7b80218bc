"""Generation: a task whose caller waits for the images on its connection."""

import time
from collections.abc import Callable

import structlog

from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from common.domain.task import Task, TaskStatus
from frontend_api.openai_compatibility.errors import ErrorAnswer, GenerationError, answer_of
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.subscriptions import Subscription

_log = structlog.get_logger(__name__)


class CallerGoneError(Exception):
    """The caller has disconnected: no response reaches it."""


class ServerStoppingError(GenerationError):
    """The process stops before the task is finished."""

    def __init__(self) -> None:
        message = "The server is stopping; send the request again."
        super().__init__(ErrorAnswer.of(503, "server_stopping", message, headers={"Retry-After": "1"}))


def abandon(task_id: str, cancel: Callable[[], Task]) -> bool:
    """Cancel a task whose images no caller can receive; return whether it is cancelled.

    A worker that holds it may still finish it, but stops at the next step.
    """
    try:
        task = cancel()
    except TaskNotFoundError:
        return False  # deleted, or not stored yet
    except DependencyUnavailableError as error:
        _log.warning("abandoned_generation_continues", task_id=task_id, dependency=error.dependency)
        return False
    if task.status.is_terminal and task.status is not TaskStatus.CANCELLED:
        return False  # a worker was faster
    _log.info("abandoned_generation_cancelled", task_id=task_id)
    return True


class Generation:
    """A task and the wait for its terminal state.

    Only the waiting caller wants the images, so closing an unfinished generation cancels the task.
    With `cancel` None, the task continues: the caller has an idempotency key and can come back.
    """

    def __init__(
        self,
        task: Task,
        subscription: Subscription,
        connection: ClientConnection,
        *,
        cancel: Callable[[], Task] | None,
        is_permitted: Callable[[], bool],
        check_seconds: float,
        wait_seconds: float,
    ) -> None:
        self.task = task
        self.connection = connection
        self._subscription = subscription
        self._cancel = cancel
        self._is_permitted = is_permitted
        self._check_seconds = check_seconds
        self._wait_seconds = wait_seconds
        self._started_at = self._checked_at = time.monotonic()
        self._is_closed = False
        self._may_be_repeated = cancel is None

    def start(self) -> None:
        """Subscribe to the task's changes."""
        self._subscription.start(self.task)

    @property
    def is_finished(self) -> bool:
        return self.task.status.is_terminal

    def finishes_within(self, seconds: float) -> bool:
        """Wait until the task is finished; return false if it is not after `seconds`.

        Raises as `changes_within`.
        """
        until = time.monotonic() + seconds
        while not self.is_finished:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self.changes_within(left)
        return True

    def changes_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for a change of the task; return whether it has changed.

        Raises CallerGoneError, and GenerationError when the longest wait is over, the task is deleted, the
        caller's API key is no longer valid, or the process stops (ServerStoppingError).
        """
        self._check_permission()
        longest = self._started_at + self._wait_seconds
        outcome = self.connection.wait(self._subscription, max(0.0, min(seconds, longest - time.monotonic())))
        if outcome is WaitOutcome.DISCONNECTED:
            raise CallerGoneError
        if outcome is WaitOutcome.SHUTTING_DOWN:
            raise ServerStoppingError
        if outcome is WaitOutcome.CHANGED and (snapshot := self._subscription.take()) is not None:
            if snapshot.task is None:
                raise GenerationError(ErrorAnswer.of(404, "task_not_found", "The task was deleted."))
            self.task = snapshot.task
            return True
        if time.monotonic() >= longest:
            raise GenerationError(self._too_late())
        return False

    def close(self) -> None:
        """Stop waiting, and cancel the task if it is unfinished and no caller can come back. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if not self.is_finished and self._cancel is not None:
                self._may_be_repeated = abandon(self.task.id, self._cancel)
        finally:
            self._subscription.close()  # the thread counts for it until then

    def answer_of(self, error: Exception) -> ErrorAnswer:
        """Close the generation and return the answer for an error.

        A repeated request would be a second task if this one is not cancelled and has no idempotency
        key. So the answer forbids it, and names the task, which may have images.
        """
        self.close()
        answer = answer_of(error).with_task(self.task.id)
        return answer if self._may_be_repeated else answer.without_retry

    def _check_permission(self) -> None:
        if time.monotonic() - self._checked_at >= self._check_seconds:
            if not self._is_permitted():
                detail = "The API key is no longer valid."
                raise GenerationError(ErrorAnswer.of(401, "unauthenticated", detail, task_id=self.task.id))
            self._checked_at = time.monotonic()

    def _too_late(self) -> ErrorAnswer:
        rest = (
            "was cancelled; read longer tasks from /v1/tasks, or send an Idempotency-Key"
            if self._cancel is not None
            else "continues; send the same request with the same Idempotency-Key to wait for it again"
        )
        return ErrorAnswer.of(
            504,
            "wait_timeout",
            f"The task did not finish within {self._wait_seconds:g} s. It {rest}.",
            task_id=self.task.id,
            headers={"x-should-retry": "false" if self._cancel is not None else "true"},
        )
