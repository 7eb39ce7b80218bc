"""What a task is made of besides its parameters and images: status, claim, history, progress, failure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from common.domain.gpu_usage import RunSeconds
from common.domain.images import FailedImage, StoredImage


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


MAX_HISTORY = 20
"""Attempts that are handed back cost nothing, so there is no end to how many a task may have."""


class Ending(StrEnum):
    """How an attempt can end besides by a status or a failure, whose names and codes serve as well."""

    HANDED_BACK = "handed_back"
    CLAIM_EXPIRED = "claim_expired"
    HOLDER_SILENT = "holder_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """One attempt that is over. An attempt whose claim ran out ended when it did, whenever that was noticed."""

    attempt: int
    worker_id: str
    ending: str
    """`completed`, `cancelled`, an Ending, or the code of the failure that ended it."""
    started_at: datetime | None
    """None of an attempt that began before this was noted."""
    ended_at: datetime
    traceparent: str | None = None
    """Its span, as W3C Trace Context has it."""
    gpu_seconds: float | None = None
    """Device seconds of the attempt; for a worker that died, as of its last heartbeat. None before 1.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's time-limited exclusive right to a task. `attempt` is the fencing token."""

    worker_id: str
    attempt: int
    expires_at: datetime
    claimed_at: datetime | None = None
    """When the attempt began; None in a claim that was written before this was noted."""
    traceparent: str | None = None
    """The attempt's span, as W3C Trace Context has it."""
    runs: tuple[RunSeconds, ...] = ()
    """Device seconds of the attempt so far, as of the latest renewal."""

    def stands_for_attempt_of(self, other: "Claim") -> bool:
        """Whether both are one attempt's claim, renewed or not.

        A task that was deleted and submitted anew under its old id counts its attempts from one again; when an
        attempt began tells the two apart.
        """
        return (self.worker_id, self.attempt, self.claimed_at) == (
            other.worker_id,
            other.attempt,
            other.claimed_at,
        )

    def ended(self, ending: str, at: datetime) -> EndedAttempt:
        """The attempt that this claim stood for, now that it is over."""
        return EndedAttempt(
            attempt=self.attempt,
            worker_id=self.worker_id,
            ending=str(ending),
            started_at=self.claimed_at,
            ended_at=at,
            traceparent=self.traceparent,
            gpu_seconds=sum((run.gpu_seconds for run in self.runs), 0.0),
        )


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
class TaskWarning:
    """A part of an accepted request that has no effect, or not the expected one. `pointer` leads into the request."""

    code: str
    pointer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutput:
    """What one attempt has produced so far. The images must be in the bucket before this is written."""

    images: tuple[StoredImage, ...] = ()
    failed_images: tuple[FailedImage, ...] = ()
    """Those that no other attempt can generate."""
    runs: tuple[RunSeconds, ...] = ()
    """Device seconds, one entry for each image that the attempt works on."""


NO_OUTPUT = AttemptOutput()
