"""Exceptions of the client.

ClientError
├── ConfigurationError       invalid address, credentials, key or value; nothing was sent
├── UnreachableError         no server answers at the address
├── UnexpectedAnswerError    the response is not one that darkroom sends
├── ProblemError             the API refused (RFC 9457); see problem_errors.py
│   ├── RequestRefusedError        400, 413, 415, 422: the request itself
│   │   ├── ParametersRejectedError
│   │   ├── UnknownModelError
│   │   └── IdempotencyKeyReusedError
│   ├── UnauthenticatedError       401
│   ├── ForbiddenError             403
│   ├── NotFoundError              404
│   │   ├── TaskNotFoundError
│   │   ├── ImageNotFoundError
│   │   ├── ModelNotFoundError
│   │   └── DeadLetterNotFoundError
│   ├── ConflictError              409
│   │   └── InvalidTransitionError
│   ├── TooManyRequestsError       429
│   └── UnavailableError           408, 500, 502, 503, 504
├── TaskNotCompletedError    images were requested of a task that failed or was cancelled
│   ├── TaskFailedError
│   └── TaskCancelledError
├── TaskDeletedError         the task was deleted while the client waited for it
├── WaitTimeoutError         the timeout expired; the task continues
├── DamagedImageError        the received bytes differ from the stored image
├── NoImageRecordError       an image file has no record of how it was generated
├── EditedImageError         the pixels of an image file differ from those that darkroom wrote
└── WebhookRejectedError     a webhook has no valid signature, or is too old
"""

from darkroom.models.task import Task
from darkroom.plain_text import printable

_REDIRECTS, _SERVER_ERRORS = 300, 500


class ClientError(Exception):
    """Base of all exceptions of the client.

    The message is meant for people and may have several lines.
    """

    outcome_is_unknown: bool = False
    """Whether the API may have executed the request. A retry with the same idempotency key creates
    no second task.
    """


class ConfigurationError(ClientError):
    """The address, credentials, Idempotency-Key or a value is invalid; nothing was sent."""


class UnreachableError(ClientError):
    """No server answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer: {printable(reason)}")


class UnexpectedAnswerError(ClientError):
    """The response is not one that darkroom sends."""

    def __init__(self, url: str, status: int, why: str = "") -> None:
        super().__init__(
            f"{url} answers {status}, but not as darkroom does{printable(why and f': {why}')}\n"
            "  Is the address right?"
        )
        self.status = status
        self.outcome_is_unknown = status < _REDIRECTS or status >= _SERVER_ERRORS


class TaskNotCompletedError(ClientError):
    """The task has failed or was cancelled; it is in `task`."""

    task: Task

    def __init__(self, task: Task, message: str) -> None:
        super().__init__(printable(message))
        self.task = task


class TaskFailedError(TaskNotCompletedError):
    """The task failed; the reason is in `task.failure`."""

    def __init__(self, task: Task) -> None:
        why = "" if task.failure is None else f": {task.failure.message} ({task.failure.code})"
        super().__init__(task, f"task {task.id} failed{why}")


class TaskCancelledError(TaskNotCompletedError):
    """The task was cancelled."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, f"task {task.id} was cancelled")


class TaskDeletedError(ClientError):
    """The task was deleted while the client waited for it."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {printable(task_id)} was deleted")
        self.task_id = task_id


class WaitTimeoutError(ClientError):
    """The timeout expired; the task continues. `task` is the last snapshot, None if there was none."""

    def __init__(self, task_id: str, timeout_seconds: float, task: Task | None) -> None:
        stands = "" if task is None else f" is {task.status} and"
        super().__init__(f"task {printable(task_id)}{stands} has not ended within {timeout_seconds:g} s")
        self.task_id = task_id
        self.task = task


class DamagedImageError(ClientError):
    """The received bytes differ from the stored image."""

    def __init__(self, task_id: str, index: int) -> None:
        super().__init__(f"image {index} of task {printable(task_id)} arrived damaged: its SHA-256 differs")


class NoImageRecordError(ClientError):
    """An image file has no record of how it was generated, or one of an unsupported version."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{printable(name)} holds no record of darkroom's\n"
            "  Most programs that save or send pictures leave such records out."
        )


class EditedImageError(ClientError):
    """The pixels of an image file differ from those that darkroom wrote."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{printable(name)} was edited: its pixels are not those that its record tells of")


class WebhookRejectedError(ClientError):
    """The webhook is not signed with the secret, or was sent too long ago."""
