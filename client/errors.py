"""What can go wrong between a caller and the API, told so that they know what to do next.

ClientError
├── ConfigurationError       address, credentials, key or value that cannot be right; nothing was sent
├── UnreachableError         nobody answers
├── UnexpectedAnswerError    whoever answers is not darkroom, or not well
├── ProblemError             the API refuses, and says why (RFC 9457); see problem_errors.py
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
├── TaskNotCompletedError    images were wanted of a task that ended without
│   ├── TaskFailedError
│   └── TaskCancelledError
├── TaskDeletedError         the task was deleted while somebody waited for it
├── WaitTimeoutError         the time is up; the task goes on
├── DamagedImageError        the bytes that came are not those that were stored
├── NoImageRecordError       an image file does not say how it was made
├── EditedImageError         an image file shows other pixels than darkroom has written
└── WebhookRejectedError     not signed with the secret, or not now
"""

from client.plain_text import printable
from client.task import Task

_REDIRECTS, _SERVER_ERRORS = 300, 500


class ClientError(Exception):
    """The message is for a person, several lines at most."""

    outcome_is_unknown: bool = False
    """Whether the request may have been carried out all the same. The same idempotency key makes no second task."""


class ConfigurationError(ClientError):
    """The address, the credentials, the Idempotency-Key or a value cannot be right; nothing was sent."""


class UnreachableError(ClientError):
    """Nobody answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer: {printable(reason)}")


class UnexpectedAnswerError(ClientError):
    """An answer that darkroom does not give."""

    def __init__(self, url: str, status: int, why: str = "") -> None:
        super().__init__(
            f"{url} answers {status}, but not as darkroom does{printable(why and f': {why}')}\n"
            "  Is the address right?"
        )
        self.status = status
        self.outcome_is_unknown = status < _REDIRECTS or status >= _SERVER_ERRORS


class TaskNotCompletedError(ClientError):
    """The task ended without images; `task` says how."""

    task: Task

    def __init__(self, task: Task, message: str) -> None:
        super().__init__(printable(message))
        self.task = task


class TaskFailedError(TaskNotCompletedError):
    """The task failed; `task.failure` says why."""

    def __init__(self, task: Task) -> None:
        why = "" if task.failure is None else f": {task.failure.message} ({task.failure.code})"
        super().__init__(task, f"task {task.id} failed{why}")


class TaskCancelledError(TaskNotCompletedError):
    """The task was cancelled."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, f"task {task.id} was cancelled")


class TaskDeletedError(ClientError):
    """The task was deleted meanwhile."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {printable(task_id)} was deleted")
        self.task_id = task_id


class WaitTimeoutError(ClientError):
    """The time is up. The task goes on; `task` is how it last stood, None if that was never learned."""

    def __init__(self, task_id: str, timeout_seconds: float, task: Task | None) -> None:
        stands = "" if task is None else f" is {task.status} and"
        super().__init__(f"task {printable(task_id)}{stands} has not ended within {timeout_seconds:g} s")
        self.task_id = task_id
        self.task = task


class DamagedImageError(ClientError):
    """The bytes that came are not those that were stored."""

    def __init__(self, task_id: str, index: int) -> None:
        super().__init__(f"image {index} of task {printable(task_id)} arrived damaged: its SHA-256 differs")


class NoImageRecordError(ClientError):
    """An image file does not say how it was made, or not as this version understands."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{printable(name)} holds no record of darkroom's\n"
            "  Most programs that save or send pictures leave such records out."
        )


class EditedImageError(ClientError):
    """An image file shows other pixels than darkroom has written into it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{printable(name)} was edited: its pixels are not those that its record tells of")


class WebhookRejectedError(ClientError):
    """Whoever sent this does not know the secret, or sent it too long ago."""
