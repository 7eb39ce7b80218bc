"""The stored fields of a task. `Task` defines how they may change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.gpu_usage import Usage
from common.domain.images import FailedImage, Preview, StoredImage, task_folder
from common.domain.parameters import GenerationParameters
from common.domain.task_records import (
    Claim,
    Failure,
    Lane,
    PastAttempt,
    Progress,
    TaskStatus,
    TaskWarning,
)

DEFAULT_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFields:
    """One user's request for images, at one point in time."""

    id: str
    user_id: str
    parameters: GenerationParameters
    work_units: float
    """The amount of computation of all its images, from its submission on; see ModelSpec.work_units_of."""
    status: TaskStatus
    created_at: datetime
    updated_at: datetime
    queued_at: datetime
    """When it was last queued: submitted, resubmitted, or handed back by a worker."""
    keep_for: timedelta
    """How long it is kept after its terminal state."""
    expires_at: datetime | None = None
    """When the task and its objects may be deleted; None before a terminal state."""
    enqueued_at: datetime | None = None
    """When Pub/Sub last confirmed a message for this task; None before the first time."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    start_by: datetime | None = None
    """The task fails if no worker has started by then."""
    attempt: int = 0
    """The number of the latest attempt. It only grows: it fences writes and names objects."""
    attempts_left: int = DEFAULT_ATTEMPTS
    claim: Claim | None = None
    history: tuple[PastAttempt, ...] = ()
    """The latest finished attempts, oldest first, at most MAX_HISTORY of them."""
    cancel_requested_at: datetime | None = None
    progress: Progress = field(default_factory=Progress)
    previews: tuple[Preview, ...] = ()
    images: tuple[StoredImage, ...] = ()
    """The finished images by index, as soon as each is stored; every terminal task keeps them."""
    failed_images: tuple[FailedImage, ...] = ()
    """The images that cannot be generated, by index."""
    failure: Failure | None = None
    warnings: tuple[TaskWarning, ...] = ()
    """The parts of the request that the model does not follow."""
    usage: Usage = field(default_factory=Usage)
    traceparent: str | None = None
    """The span of the request that submitted it, as W3C Trace Context."""
    event_pending_since: datetime | None = None
    """When the API finished the task; None once Pub/Sub has confirmed the final event."""
    predicted_seconds: float | None = None
    """Duration from submission to the terminal state as predicted at submission, uncorrected:
    workers compare it with the actual duration. None if unknown or if the task was retried.
    """
    lane: Lane = Lane.INTERACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    callback_events: tuple[str, ...] = ("finished",)
    callback_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the owner's webhooks; only the API can decrypt the values."""
    callback_seal: str | None = None
    """The API's MAC over the callback: a worker cannot name another receiver (ADR 41)."""
    request_digest: str | None = None
    """Identifies what the caller sent, without the model's defaults; None for older tasks."""
    revision: str | None = field(default=None, compare=False)
    """The stored revision that this value was read from; set by the TaskStore, opaque to others."""

    @property
    def folder(self) -> str:
        """The prefix of all its objects; see task_folder."""
        return task_folder(self.id, self.created_at)

    @property
    def image_work_units(self) -> float:
        """The amount of computation for one image."""
        return self.work_units / self.parameters.num_images

    @property
    def missing_images(self) -> tuple[int, ...]:
        """The indices of the images that are neither finished nor failed."""
        settled = {image.index for image in self.images} | {image.index for image in self.failed_images}
        return tuple(index for index in range(self.parameters.num_images) if index not in settled)

    @property
    def usage_with_claim(self) -> Usage:
        """Its usage; an attempt in progress counts as if it ended with its latest heartbeat."""
        runs = () if self.claim is None else self.claim.runs
        kept, lost = {image.index for image in self.images}, {image.index for image in self.failed_images}
        return self.usage.with_attempt(runs, kept=kept, lost=lost)

    @property
    def is_partial(self) -> bool:
        """Whether it completed without some of its images."""
        return self.status is TaskStatus.COMPLETED and bool(self.failed_images)

    @property
    def was_cancelled_in_queue(self) -> bool:
        """Whether its owner cancelled it while no worker held it: the API publishes that event."""
        return self.status is TaskStatus.CANCELLED and self.cancel_requested_at is None

    @property
    def can_be_retried(self) -> bool:
        """Whether a retry could add an image."""
        return self.status in (TaskStatus.FAILED, TaskStatus.CANCELLED) or self.is_partial
