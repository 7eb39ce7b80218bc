"""TaskFields: what is stored of a task. How each of them may change is the Task's matter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.gpu_usage import Usage
from common.domain.images import FailedImage, Preview, StoredImage, task_folder
from common.domain.parameters import GenerationParameters
from common.domain.task_records import (
    Claim,
    EndedAttempt,
    Failure,
    Lane,
    Progress,
    TaskStatus,
    TaskWarning,
)

DEFAULT_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFields:
    """One user's request for images, at one moment."""

    id: str
    user_id: str
    parameters: GenerationParameters
    status: TaskStatus
    created_at: datetime
    updated_at: datetime
    queued_at: datetime
    """When it last became queued: submitted, resubmitted, or given back by a worker."""
    keep_for: timedelta
    """How long it is kept once it has ended."""
    expires_at: datetime | None = None
    """When it may be deleted with all that was made for it; None unless it has ended."""
    enqueued_at: datetime | None = None
    """When Pub/Sub last confirmed a message for this task; None until it first did."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    start_by: datetime | None = None
    """Give up if no worker has started by then."""
    attempt: int = 0
    """The number of the latest attempt. Only ever grows: it fences writes and names objects."""
    attempts_left: int = DEFAULT_ATTEMPTS
    claim: Claim | None = None
    history: tuple[EndedAttempt, ...] = ()
    """The latest attempts that are over, oldest first, at most MAX_HISTORY of them."""
    cancel_requested_at: datetime | None = None
    progress: Progress = field(default_factory=Progress)
    previews: tuple[Preview, ...] = ()
    images: tuple[StoredImage, ...] = ()
    """The finished images by index, from the moment each is stored; a cancelled or failed task keeps them."""
    failed_images: tuple[FailedImage, ...] = ()
    """The images that are not coming, by index."""
    failure: Failure | None = None
    warnings: tuple[TaskWarning, ...] = ()
    """What the model does not obey of the request."""
    usage: Usage = field(default_factory=Usage)
    traceparent: str | None = None
    """The request that submitted it, as W3C Trace Context has it."""
    untold_since: datetime | None = None
    """When it ended, if the API ended it and no event of that was confirmed yet."""
    predicted_seconds: float | None = None
    """How long it was expected to take from submission to its end, when it was submitted; None where nobody could tell
    or it was retried. Uncorrected: workers compare it with what came true."""
    lane: Lane = Lane.INTERACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    callback_events: tuple[str, ...] = ("finished",)
    revision: str | None = field(default=None, compare=False)
    """Which stored state this value was read from; set by the TaskStore and opaque to everybody else."""

    @property
    def folder(self) -> str:
        """The prefix of every object that is made for it; see task_folder."""
        return task_folder(self.id, self.created_at)

    @property
    def missing_images(self) -> tuple[int, ...]:
        """The indices of the images that are neither finished nor failed."""
        settled = {image.index for image in self.images} | {image.index for image in self.failed_images}
        return tuple(index for index in range(self.parameters.num_images) if index not in settled)

    @property
    def usage_if_ended(self) -> Usage:
        """Its usage if no other second were spent on it: an attempt in progress counts as of its latest heartbeat."""
        runs = () if self.claim is None else self.claim.runs
        kept, lost = {image.index for image in self.images}, {image.index for image in self.failed_images}
        return self.usage.with_attempt(runs, kept=kept, lost=lost).closed()

    @property
    def is_partial(self) -> bool:
        """Whether it completed without all of its images."""
        return self.status is TaskStatus.COMPLETED and bool(self.failed_images)

    @property
    def can_be_retried(self) -> bool:
        """Whether a retry could add an image."""
        return self.status in (TaskStatus.FAILED, TaskStatus.CANCELLED) or self.is_partial
