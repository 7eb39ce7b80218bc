"""What a task is made of besides its parameters and images: status, claim, progress, failure, usage."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TaskStatus(StrEnum):
    """Where a task stands. Five statuses and no more: everything else is a field."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow but an explicit retry."""
        return self not in (TaskStatus.QUEUED, TaskStatus.PROCESSING)


class Phase(StrEnum):
    """What a worker is doing with a task right now."""

    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    ENCODING_PROMPT = "encoding_prompt"
    DENOISING = "denoising"
    DECODING = "decoding"
    UPLOADING = "uploading"
    DONE = "done"


class Lane(StrEnum):
    """Who goes first: somebody waits for an interactive task, nobody for a batch one."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's time-limited exclusive right to a task. `attempt` is the fencing token."""

    worker_id: str
    attempt: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a task is. `step` of `steps` is the slowest image's; `value` is the mean over images, 0 to 1."""

    phase: Phase = Phase.WAITING
    step: int = 0
    steps: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt or a task did not succeed. `message` is for the owner: no secrets, no stack."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a task has cost so far, in seconds of a GPU (or of the CPU that stands in for it).

    `gpu_seconds` made the images that were kept; `wasted_gpu_seconds` went into attempts that were lost.
    `inference_seconds` is the wall time from the claim to the last image of the attempt that succeeded.
    """

    inference_seconds: float | None = None
    gpu_seconds: float | None = None
    wasted_gpu_seconds: float = 0.0
