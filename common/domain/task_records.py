"""Parts of a task besides its parameters and images: status, claim, history, progress, failure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from common.domain.gpu_usage import RunSeconds
from common.domain.images import FailedImage, StoredImage


class TaskStatus(StrEnum):
    """The status of a task. There are only five: everything else is a field."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether only an explicit retry can follow."""
        return self not in (TaskStatus.QUEUED, TaskStatus.PROCESSING)


class Phase(StrEnum):
    """The current activity of a worker on a task."""

    WAITING = "waiting"
    LOADING_MODEL = "loading_model"
    ENCODING_PROMPT = "encoding_prompt"
    DENOISING = "denoising"
    DECODING = "decoding"
    UPLOADING = "uploading"
    DONE = "done"


class Lane(StrEnum):
    """The priority of a task: a person waits for an interactive task, but not for a batch task."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


MAX_HISTORY = 20
"""The history is bounded because handed-back attempts cost nothing and have no limit."""


class Ending(StrEnum):
    """Endings of an attempt besides statuses and failure codes."""

    HANDED_BACK = "handed_back"
    CLAIM_EXPIRED = "claim_expired"
    HOLDER_SILENT = "holder_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """A finished attempt.

    An attempt whose claim expired ended at the expiry, whenever it was detected.
    """

    attempt: int
    worker_id: str
    ending: str
    """`completed`, `cancelled`, an Ending, or the code of the failure."""
    started_at: datetime | None
    """None for an attempt that began before this was recorded."""
    ended_at: datetime
    traceparent: str | None = None
    """Its span, as W3C Trace Context."""
    gpu_seconds: float | None = None
    """Device seconds, for a worker that died as of its last heartbeat. None before version 1.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's time-limited exclusive right to a task. `attempt` is the fencing token."""

    worker_id: str
    attempt: int
    expires_at: datetime
    claimed_at: datetime | None = None
    """When the attempt began; None in a claim written before this was recorded."""
    generating_since: datetime | None = None
    """When the engine began with the task; None while the task waits inside the worker."""
    traceparent: str | None = None
    """The attempt's span, as W3C Trace Context."""
    runs: tuple[RunSeconds, ...] = ()
    """Device seconds of the attempt so far, as of the latest renewal."""

    def is_same_attempt_as(self, other: "Claim") -> bool:
        """Return whether both are claims of the same attempt, renewed or not.

        A task submitted again under the id of a deleted task counts its attempts from one again.
        The start time of the attempt distinguishes the two.
        """
        return (self.worker_id, self.attempt, self.claimed_at) == (
            other.worker_id,
            other.attempt,
            other.claimed_at,
        )

    def ended(self, ending: str, at: datetime) -> PastAttempt:
        """Return the attempt of this claim as a finished one."""
        return PastAttempt(
            attempt=self.attempt,
            worker_id=self.worker_id,
            ending=str(ending),
            started_at=self.claimed_at,
            ended_at=at,
            traceparent=self.traceparent,
            gpu_seconds=sum((run.gpu_seconds for run in self.runs), 0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProgress:
    """Progress of one image of a task."""

    index: int
    phase: Phase = Phase.WAITING
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a task.

    `step` of `steps` is the slowest image's; `value` is the mean over images, 0 to 1. `images` is empty
    unless a worker holds the task.
    """

    phase: Phase = Phase.WAITING
    step: int = 0
    steps: int = 0
    value: float = 0.0
    images: tuple[ImageProgress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt or a task failed.

    `message` is for the owner: no secrets, no stack trace.
    """

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWarning:
    """A part of an accepted request that has no effect, or not the expected one.

    `pointer` is a JSON pointer into the request. `tokens` is the length of a text that is too long.
    """

    code: str
    pointer: str
    detail: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutput:
    """The output of one attempt so far. The images must be in the bucket before this is written."""

    images: tuple[StoredImage, ...] = ()
    failed_images: tuple[FailedImage, ...] = ()
    """Images that no other attempt can generate."""
    runs: tuple[RunSeconds, ...] = ()
    """Device seconds, one entry per image of the attempt."""
    generating_since: datetime | None = None
    """When the engine began with the task; None if it has not yet."""


NO_OUTPUT = AttemptOutput()
