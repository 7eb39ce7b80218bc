"""Every error of the domain, with the stable code that HTTP, Firestore, logs and docs share."""

from dataclasses import dataclass
from typing import ClassVar

from common.domain.task_records import Claim


class DomainError(Exception):
    """Base of all errors that the rules of darkroom raise."""

    code: ClassVar[str] = "domain_error"
    retryable: ClassVar[bool] = False
    retry_after_seconds: int | None = None
    """When a retry may succeed, if that is known."""


class TaskNotFoundError(DomainError):
    """No task with this id exists, or it was deleted."""

    code = "task_not_found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no task {task_id!r}")
        self.task_id = task_id


class TaskAlreadyExistsError(DomainError):
    """A task with this id is stored already."""

    code = "task_already_exists"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id!r} exists already")
        self.task_id = task_id


class InvalidTransitionError(DomainError):
    """The task's status does not allow this transition."""

    code = "invalid_transition"


class AttemptsExhaustedError(InvalidTransitionError):
    """The task may not be claimed again: all its attempts are used up."""

    code = "attempts_exhausted"


class ClaimHeldError(DomainError):
    """Another worker holds a live claim on the task."""

    code = "claim_held"
    retryable = True

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"claimed by {claim.worker_id!r} until {claim.expires_at.isoformat()}")
        self.claim = claim


class ClaimLostError(DomainError):
    """The claim no longer belongs to this worker: the output of the attempt must be discarded."""

    code = "claim_lost"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One refused field: its RFC 6901 JSON pointer, and what would have been accepted."""

    pointer: str
    detail: str


class ParametersRejectedError(DomainError):
    """One or more fields are outside what the model accepts."""

    code = "parameters_rejected"

    def __init__(self, detail: str, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__(detail)
        self.problems = problems


class UnknownModelError(DomainError):
    """The catalog has no model of this name."""

    code = "unknown_model"

    def __init__(self, name: str, *, offered: tuple[str, ...]) -> None:
        super().__init__(f"model {name!r} does not exist; available models: {', '.join(offered)}")
        self.name = name
        self.offered = offered


class DependencyUnavailableError(DomainError):
    """A service that darkroom depends on did not answer in time; a retry may succeed."""

    code = "dependency_unavailable"
    retryable = True
    retry_after_seconds = 2  # most outages are reconnections

    def __init__(self, dependency: str, detail: str = "did not answer in time") -> None:
        super().__init__(f"{dependency} {detail}")
        self.dependency = dependency


class ContendedError(DependencyUnavailableError):
    """A record was changed by others before each of many writes; the store itself responds."""
