"""Exceptions for the API's problem responses, one class per reaction of a caller."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ClientError
from darkroom.plain_text import printable

_PLACES = ("pointer", "parameter", "header")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One refused field: a JSON pointer, query parameter or header, and what is accepted."""

    at: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at or 'the body'}: {self.detail}"


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
        self.complaints = tuple(_complaints(problem.get("errors")))
        self.retryable = problem.get("retryable") is True
        self.retry_after_seconds = retry_after_seconds
        self.task_id: str | None = problem.get("task_id")
        self.trace_id: str | None = problem.get("trace_id")
        self.outcome_is_unknown = self.task_id is not None or self.code == "internal_error"
        self.attempts = 1
        """Number of times the request was sent."""
        super().__init__(printable("\n".join(self._lines())))

    def _lines(self) -> list[str]:
        lines = [
            f"{self.title} ({self.code})",
            f"  {self.detail}",
            *(f"  {each}" for each in self.complaints),
        ]
        if self.task_id:
            lines.append(f"  The task is stored, or may be: {self.task_id}")
        if self.retry_after_seconds is not None:
            lines.append(f"  Try again in {self.retry_after_seconds:g} s.")
        if self.trace_id:
            lines.append(f"  In the logs: trace {self.trace_id}")
        return lines


class RequestRefusedError(ProblemError):
    """The request itself is not acceptable; `complaints` lists the fields."""


class ParametersRejectedError(RequestRefusedError):
    """A field, parameter or header has the wrong type or is outside its limits."""


class UnknownModelError(RequestRefusedError):
    """The submission names an unknown model."""


class IdempotencyKeyReusedError(RequestRefusedError):
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
    "unknown_model": UnknownModelError,
    "idempotency_key_reused": IdempotencyKeyReusedError,
    "task_not_found": TaskNotFoundError,
    "image_not_found": ImageNotFoundError,
    "model_not_found": ModelNotFoundError,
    "dead_letter_not_found": DeadLetterNotFoundError,
    "invalid_transition": InvalidTransitionError,
}
_BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: RequestRefusedError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    413: RequestRefusedError,
    415: RequestRefusedError,
    422: RequestRefusedError,
    429: TooManyRequestsError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def problem_error(
    problem: Mapping[str, Any], *, status: int, retry_after_seconds: float | None
) -> ProblemError:
    """Return the exception for a problem document. An unknown code is mapped by its status."""
    kind = _BY_CODE.get(str(problem.get("code"))) or _BY_STATUS.get(status, ProblemError)
    return kind(problem, status=status, retry_after_seconds=retry_after_seconds)


def _complaints(told: Any) -> Iterator[Complaint]:
    for each in told if isinstance(told, list) else ():
        if isinstance(each, dict):
            at = next((str(each[place]) for place in _PLACES if each.get(place) is not None), "")
            yield Complaint(at, str(each.get("detail", "")))
