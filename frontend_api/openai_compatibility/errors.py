"""Errors in OpenAI's shape: problems, failed tasks, and waits that ended without images."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import structlog
from pydantic import Field

from common.domain.failures import FailureCode
from common.domain.task import Task, TaskStatus
from frontend_api.http.error_mapping import problem_of
from frontend_api.http.error_shape import ErrorShape
from frontend_api.http.problems import PROBLEMS, Complaint, Problem
from frontend_api.http.schemas import ResponseBody

_CODES = {
    "unauthenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "quota_exceeded": "rate_limit_exceeded",
    FailureCode.CONTENT_FILTERED: "content_policy_violation",
}
"""Codes that clients of OpenAI compare with; all other codes are darkroom's."""
_STATUSES = {"unknown_model": 404, "too_many_inputs": 400}
_NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients repeat requests after the statuses 409, 429 and 5xx, unless this header forbids it."""


_log = structlog.get_logger(__name__)


class OpenAIError(ResponseBody):
    """The error of the request, or the reason why there are no images."""

    message: str
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`.")
    param: str | None = Field(description="The rejected field, if it is one.")
    code: str = Field(description="A code of a problem or of a failed task, or OpenAI's name for it.")
    task_id: str | None = Field(
        default=None,
        exclude_if=lambda task_id: task_id is None,
        description="Id of a task that is stored or may be.",
    )


class OpenAIErrorResponse(ResponseBody):
    """A refused or failed request, as OpenAI reports it."""

    error: OpenAIError


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error with the status that makes OpenAI's clients raise the fitting exception."""

    status: int
    error: OpenAIError
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        task_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        error = OpenAIError(
            message=message,
            type=_type_of(status),
            param=param,
            code=_CODES.get(code, code),
            task_id=task_id,
        )
        return cls(status=status, error=error, headers=headers or {})

    @classmethod
    def of_problem(cls, problem: Problem) -> Self:
        first = problem.complaints[0] if problem.complaints else None
        return cls.of(
            _status_of(problem.code),
            problem.code,
            "; ".join(map(_sentence, problem.complaints)) or problem.detail,
            param=None if first is None else _name_of(first) or None,
            task_id=problem.task_id,
            headers=problem.headers,
        )

    @property
    def without_retry(self) -> Self:
        """The same answer, after which OpenAI's clients do not repeat the request."""
        return replace(self, headers={**self.headers, **_NO_RETRY})

    @property
    def may_retry(self) -> bool:
        return self.headers.get("x-should-retry") != "false"

    def with_task(self, task_id: str) -> Self:
        """Return the same answer with the id of the task."""
        return replace(self, error=self.error.model_copy(update={"task_id": task_id}))

    @property
    def body(self) -> OpenAIErrorResponse:
        return OpenAIErrorResponse(error=self.error)


class GenerationError(Exception):
    """A generation that ends without all of its images, and the answer for its caller."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.error.message)
        self.answer = answer


def answer_of(error: Exception) -> ErrorAnswer:
    """Return the answer for an error of a request or response."""
    if isinstance(error, GenerationError):
        return error.answer
    problem = problem_of(error)
    if problem is None:
        _log.exception("generation_response_failed")
        problem = Problem(code="internal_error", detail="internal error; the request may be valid")
    return ErrorAnswer.of_problem(problem)


def failure_of(task: Task) -> ErrorAnswer | None:
    """Return why a finished task has no images; None for a task that has some."""
    if task.status is TaskStatus.COMPLETED:
        return None
    if task.failure is None or task.status is TaskStatus.CANCELLED:
        return ErrorAnswer.of(
            409, "task_cancelled", "The task was cancelled.", task_id=task.id, headers=_NO_RETRY
        )
    failure = task.failure
    return ErrorAnswer.of(
        400 if failure.code == FailureCode.CONTENT_FILTERED else 500,
        failure.code,
        failure.message,
        task_id=task.id,
        headers={} if failure.retryable else _NO_RETRY,
    )


def missing_images(task: Task) -> ErrorAnswer | None:
    """Return why a completed task has fewer images than requested; None if it has all."""
    if not task.failed_images:
        return None
    first = task.failed_images[0]
    count = f"{len(task.failed_images)} of {task.parameters.num_images}"
    return ErrorAnswer.of(
        500, first.code, f"{count} images could not be generated: {first.message}", task_id=task.id
    )


def _status_of(code: str) -> int:
    status = _STATUSES.get(code, PROBLEMS[code].status)
    return 400 if status == 422 else status


def _body(problem: Problem, _trace_id: str | None, _base_path: str) -> dict[str, Any]:
    return ErrorAnswer.of_problem(problem).body.model_dump()


OPENAI_ERRORS = ErrorShape(
    media_type="application/json", schema=OpenAIErrorResponse, status=_status_of, body=_body
)
ERROR_SHAPES: Mapping[str, ErrorShape] = {"/openai/": OPENAI_ERRORS}
"""The paths with this shape of errors."""


def _type_of(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"


def _name_of(complaint: Complaint) -> str:
    """Return the name of the rejected part: `labels.team` for the pointer `/labels/team`."""
    return complaint.at.removeprefix("/").replace("/", ".")


def _sentence(complaint: Complaint) -> str:
    name = _name_of(complaint)
    return f"`{name}` {complaint.detail}" if name else f"The body {complaint.detail}"
