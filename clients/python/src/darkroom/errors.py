"""Exceptions of the SDK. All are subclasses of ClientError."""

import copyreg
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.models.task import Task

_LOCATIONS = ("pointer", "parameter", "header")


def printable(text: str) -> str:
    """Escape every non-printable character except line breaks."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


class ClientError(Exception):
    """Base of all exceptions of the SDK. The message is for people and may have several lines."""

    outcome_is_unknown: bool = False
    """Whether the API may have executed the request, or has accepted the task. A retry with the
    same idempotency key creates no second task.
    """
    task_id: str | None = None
    """The task that was accepted, or may be stored. None if it is unknown."""
    idempotency_key: str | None = None
    """The key of the submission, also a generated one. None for errors of other calls."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the message and the attributes: subclasses have other arguments."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigurationError(ClientError):
    """The address, credentials, Idempotency-Key or a value is invalid; nothing was sent."""


class UnreachableError(ClientError):
    """No server responds at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not respond: {printable(reason)}")


class UnexpectedResponseError(ClientError):
    """The response is not one that darkroom sends."""

    def __init__(self, url: str, status: int, reason: str = "") -> None:
        super().__init__(
            f"{url} returned an unexpected response with status {status}"
            f"{printable(reason and f': {reason}')}\n  Check that this is the address of darkroom's API."
        )
        self.status = status
        self.outcome_is_unknown = not 300 <= status < 500


class TaskNotCompletedError(ClientError):
    """The task failed or was cancelled; it is in `task`."""

    def __init__(self, task: Task, message: str) -> None:
        super().__init__(printable(message))
        self.task = task
        self.task_id = task.id


class TaskFailedError(TaskNotCompletedError):
    """The task failed; the reason is in `task.failure`."""

    def __init__(self, task: Task) -> None:
        reason = "" if task.failure is None else f": {task.failure.message} ({task.failure.code})"
        super().__init__(task, f"task {task.id} failed{reason}")


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
        status = "no response" if task is None else f"status: {task.status}"
        super().__init__(f"task {printable(task_id)} did not finish within {timeout_seconds:g} s ({status})")
        self.task_id = task_id
        self.task = task


class DamagedImageError(ClientError):
    """The received bytes differ from the stored image."""

    def __init__(self, task_id: str, index: int) -> None:
        super().__init__(
            f"image {index} of task {printable(task_id)} was damaged in transit: its SHA-256 does not match"
        )


class NoImageRecordError(ClientError):
    """An image file has no record of how it was generated, or one of an unsupported version."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{printable(name)} has no darkroom record\n"
            "  Programs that save or send images often remove it; tasks with `metadata` none write no record."
        )


class EditedImageError(ClientError):
    """The pixels of an image file differ from those that darkroom wrote."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{printable(name)} was edited: its pixels do not match its record")


class WebhookRejectedError(ClientError):
    """The webhook has no valid signature, or is too old."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """A rejected field: its JSON pointer, query parameter or header, and what is accepted."""

    location: str
    detail: str

    def __str__(self) -> str:
        return f"{self.location or 'the body'}: {self.detail}"


class ProblemError(ClientError):
    """The API refused the request.

    `code` is stable; `retryable` says whether the same request may succeed later.
    """

    def __init__(
        self, problem: Mapping[str, Any], *, status: int, retry_after_seconds: float | None = None
    ) -> None:
        self.status = status
        self.code = str(problem.get("code", "no code"))
        self.title = str(problem.get("title", "Refused"))
        self.detail = str(problem.get("detail", ""))
        self.errors = tuple(_field_errors(problem.get("errors")))
        self.retryable = problem.get("retryable") is True
        self.retry_after_seconds = retry_after_seconds
        self.task_id = problem.get("task_id")
        self.trace_id: str | None = problem.get("trace_id")
        self.outcome_is_unknown = self.task_id is not None or self.code == "internal_error"
        self.attempts = 1
        """Number of times the request was sent."""
        super().__init__(printable("\n".join(self._lines())))

    def _lines(self) -> Iterator[str]:
        yield f"{self.title} ({self.code})"
        yield f"  {self.detail}"
        for error in self.errors:
            yield f"  {error}"
        if self.task_id:
            yield f"  The task may be stored: {self.task_id}"
        if self.retry_after_seconds is not None:
            yield f"  Try again in {self.retry_after_seconds:g} s."
        if self.trace_id:
            yield f"  Trace in the server's logs: {self.trace_id}"


class InvalidRequestError(ProblemError):
    """The request is invalid; `errors` lists the fields."""


class ParametersRejectedError(InvalidRequestError):
    """A field, parameter or header has the wrong type or is outside its limits."""


class ContentPolicyError(InvalidRequestError):
    """The service's content policy refuses the prompt."""


class UnknownModelError(InvalidRequestError):
    """The submission names an unknown model."""


class IdempotencyKeyReusedError(InvalidRequestError):
    """The key was used before, for a different request."""


class UnauthenticatedError(ProblemError):
    """The credentials are missing or invalid."""


class ForbiddenError(ProblemError):
    """The caller is authenticated but lacks the permission."""


class NotFoundError(ProblemError):
    """The resource does not exist or belongs to another caller."""


class TaskNotFoundError(NotFoundError):
    """The task does not exist or belongs to another caller."""


class ImageNotFoundError(NotFoundError):
    """The task has no such image, or the image is no longer stored."""


class ModelNotFoundError(NotFoundError):
    """The catalog has no model of this name."""


class DeadLetterNotFoundError(NotFoundError):
    """The dead letter does not exist."""


class ConflictError(ProblemError):
    """The request conflicts with the current state."""


class InvalidTransitionError(ConflictError):
    """The task's status does not allow the operation."""


class TooManyRequestsError(ProblemError):
    """A quota or rate limit is exhausted."""


class UnavailableError(ProblemError):
    """The API or a service it depends on is unavailable."""


_BY_CODE: Mapping[str, type[ProblemError]] = {
    "parameters_rejected": ParametersRejectedError,
    "content_policy_violation": ContentPolicyError,
    "unknown_model": UnknownModelError,
    "idempotency_key_reused": IdempotencyKeyReusedError,
    "task_not_found": TaskNotFoundError,
    "image_not_found": ImageNotFoundError,
    "model_not_found": ModelNotFoundError,
    "dead_letter_not_found": DeadLetterNotFoundError,
    "invalid_transition": InvalidTransitionError,
}
_BY_STATUS: Mapping[int, type[ProblemError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidRequestError),
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: TooManyRequestsError,
    **dict.fromkeys((408, 500, 502, 503, 504), UnavailableError),
}


def problem_error(
    problem: Mapping[str, Any], *, status: int, retry_after_seconds: float | None
) -> ProblemError:
    """Return the exception for a problem document. An unknown code is mapped by its status."""
    kind = _BY_CODE.get(str(problem.get("code"))) or _BY_STATUS.get(status, ProblemError)
    return kind(problem, status=status, retry_after_seconds=retry_after_seconds)


def _field_errors(errors: Any) -> Iterator[FieldError]:
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            location = next((str(error[name]) for name in _LOCATIONS if error.get(name) is not None), "")
            yield FieldError(location, str(error.get("detail", "")))
