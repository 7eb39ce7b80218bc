"""The failure codes of tasks: the one table that the API, the workers and rescue use.

`docs/api/errors.md` documents the table for callers; a test compares the two.
"""

from dataclasses import dataclass
from enum import StrEnum

from common.domain.task_records import Failure


class FailureCode(StrEnum):
    """Why an attempt, an image or a task failed. The values are public and stable."""

    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNCLAIMED = "unclaimed"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    DEAD_LETTERED = "dead_lettered"
    MODEL_UNAVAILABLE = "model_unavailable"
    CONTENT_FILTERED = "content_filtered"
    INVALID_INPUT = "invalid_input"
    INVALID_OUTPUT = "invalid_output"
    OUT_OF_GPU_MEMORY = "out_of_gpu_memory"
    GENERATION_FAILED = "generation_failed"
    ENGINE_CRASHED = "engine_crashed"
    ENGINE_OUT_OF_MEMORY = "engine_out_of_memory"
    ENGINE_HUNG = "engine_hung"
    DEVICE_LOST = "device_lost"
    ATTEMPT_TIMED_OUT = "attempt_timed_out"
    DEPENDENCY_UNAVAILABLE = "dependency_unavailable"
    OBJECT_CONFLICT = "object_conflict"

    def failure(self, detail: str = "") -> Failure:
        """Return the failure that the owner sees; `detail` must not contain secrets or prompts."""
        kind = FAILURES[self]
        message = f"{kind.message}: {detail}." if detail else f"{kind.message}."
        return Failure(code=self.value, message=message, retryable=kind.retryable)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """The text of a failure, and whether another attempt or the caller's retry may succeed."""

    message: str
    retryable: bool


FAILURES = {
    # A retry has no start deadline, so it succeeds as soon as a worker is free.
    FailureCode.DEADLINE_EXCEEDED: FailureKind("No worker was free before the task's deadline", True),
    FailureCode.UNCLAIMED: FailureKind("No worker claimed the task within the longest allowed wait", True),
    # A retry restores all attempts. The workers may have been lost for reasons unrelated to the task.
    FailureCode.ATTEMPTS_EXHAUSTED: FailureKind("All attempts ended without a result", True),
    FailureCode.DEAD_LETTERED: FailureKind(
        "The task's message could not be processed; a retry sends a new one", True
    ),
    FailureCode.MODEL_UNAVAILABLE: FailureKind("The worker could not load the model", True),
    FailureCode.CONTENT_FILTERED: FailureKind("A safety checker rejected the image", False),
    FailureCode.INVALID_INPUT: FailureKind("An input picture cannot be used", False),
    # The same seed gives the same numbers on any worker.
    FailureCode.INVALID_OUTPUT: FailureKind("The model's output was not finite", False),
    FailureCode.OUT_OF_GPU_MEMORY: FailureKind("The image does not fit into the GPU's memory", True),
    FailureCode.GENERATION_FAILED: FailureKind("The model failed to generate the image", False),
    FailureCode.ENGINE_CRASHED: FailureKind("The engine process crashed while it processed this task", True),
    FailureCode.ENGINE_OUT_OF_MEMORY: FailureKind(
        "The engine process ran out of main memory while it processed this task", True
    ),
    FailureCode.ENGINE_HUNG: FailureKind(
        "The engine process stopped responding while it processed this task", True
    ),
    FailureCode.DEVICE_LOST: FailureKind(
        "The engine process lost its device while it processed this task", True
    ),
    FailureCode.ATTEMPT_TIMED_OUT: FailureKind("The generation exceeded the time limit of an attempt", True),
    FailureCode.DEPENDENCY_UNAVAILABLE: FailureKind("A dependency did not respond", True),
    FailureCode.OBJECT_CONFLICT: FailureKind("The worker could not store an image", True),
}
