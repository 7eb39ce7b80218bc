"""The task and its parts."""

from enum import Enum
from typing import TypeAlias

from pydantic import AwareDatetime, Field

from darkroom.models.provenance import Provenance
from darkroom.models.record import Page, Record
from darkroom.models.stored_input import InputId

_EXTENSIONS = {"image/avif": "avif", "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


class TaskStatus(str, Enum):
    """The status of a task; the last three are terminal."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __str__ = str.__str__

    @property
    def is_terminal(self) -> bool:
        """Whether the task is finished; only a retry of a task that lacks images changes it."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


class LoraChoice(Record):
    """A LoRA that a task uses."""

    name: str
    scale: float


class GenerationParameters(Record):
    """What to generate. Image k uses `seed + k`."""

    prompt: str
    negative_prompt: str | None = None
    prompt_syntax: str = "plain"
    model: str
    steps: int
    guidance_scale: float
    guidance_rescale: float = 0.0
    clip_skip: int = 0
    seed: int
    sampler: str
    eta: float = 0.0
    width: int
    height: int
    num_images: int
    output_format: str
    image: InputId | None = None
    mask_image: InputId | None = None
    strength: float | None = None
    control_image: InputId | None = None
    controlnet: str | None = None
    control_scale: float | None = None
    reference_image: InputId | None = None
    ip_adapter: str | None = None
    reference_scale: float | None = None
    output_quality: int | None = None
    """None: the usual quality of the format."""
    metadata: str = "full"
    loras: tuple[LoraChoice, ...] = ()


class ImageProgress(Record):
    """Progress of one image."""

    index: int
    phase: str
    step: int


class Progress(Record):
    """Progress of a task: `value` is 0 to 1."""

    phase: str
    value: float
    step: int
    """The step of the slowest image."""
    steps: int
    images: tuple[ImageProgress, ...] = ()
    """The progress of each image; empty unless a worker holds the task."""


class StoredImage(Record):
    """A finished image. Its bytes are fetched with `images()` or `download()`."""

    index: int
    thumbnail_url: str | None = None
    """The URL of a small version; None if the API is older."""
    url: str
    url_expires_at: AwareDatetime | None = None
    width: int
    height: int
    seed: int
    content_type: str
    size_bytes: int = Field(ge=0)
    sha256: str
    provenance: Provenance | None = None

    @property
    def extension(self) -> str:
        """The extension of the file name, without a dot."""
        return _EXTENSIONS.get(self.content_type, "bin")


class Failure(Record):
    """Why the latest attempt, or the task, failed."""

    code: str
    message: str
    retryable: bool


class Preview(Record):
    """A preview of an image in progress; `url` needs the caller's credentials."""

    index: int
    step: int
    url: str


class TaskWarning(Record):
    """A part of the request that the model does not follow; `pointer` is its JSON pointer.

    `tokens` is the length of a text of which the model reads only a part.
    """

    code: str
    pointer: str
    detail: str
    tokens: int | None = None


class FailedImage(Record):
    """An image that could not be generated, and why."""

    index: int
    code: str
    message: str


class PastAttempt(Record):
    """A finished attempt."""

    attempt: int
    worker_id: str
    ending: str
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime
    gpu_seconds: float | None = None


class Eta(Record):
    """When the task is expected to finish, in seconds from the time of the response."""

    p50_seconds: float | None = None
    p90_seconds: float | None = None


class Cost(Record):
    """The price of the task; `price` is None until the task has finished with an image."""

    price: float | None = None
    currency: str


class Metrics(Record):
    """Durations of the task, in seconds; None until known."""

    queue_seconds: float | None = None
    inference_seconds: float | None = None
    gpu_seconds: float | None = None
    wasted_gpu_seconds: float = 0.0


class Urls(Record):
    """Related URLs, relative to the API's address."""

    self_: str = Field(alias="self")
    events: str | None = None
    cancel: str | None = None


class Task(Record):
    """A task, as it was when the API responded."""

    id: str
    status: TaskStatus
    model: str
    parameters: GenerationParameters
    labels: dict[str, str] = Field(default_factory=dict)
    lane: str = "interactive"
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    start_by: AwareDatetime | None = None
    cancel_requested_at: AwareDatetime | None = None
    attempt: int = 0
    history: tuple[PastAttempt, ...] = ()
    queue_position: int | None = None
    eta: Eta | None = None
    model_served: bool | None = None
    """Whether a live worker serves the model; the task waits if none does. None if unknown."""
    progress: Progress
    images: tuple[StoredImage, ...] = ()
    """Finished images. A cancelled or failed task keeps them."""
    previews: tuple[Preview, ...] = ()
    """The previews of images in progress."""
    failed_images: tuple[FailedImage, ...] = ()
    failure: Failure | None = None
    warnings: tuple[TaskWarning, ...] = ()
    """What the model does not follow; a worker may add warnings."""
    callback_url: str | None = None
    callback_events: tuple[str, ...] | None = None
    callback_headers: tuple[str, ...] = ()
    """The names of the headers that the webhooks carry."""
    metrics: Metrics = Metrics()
    cost: Cost | None = None
    urls: Urls


TaskRef: TypeAlias = Task | str
"""A task, or its id."""


def id_of(task: TaskRef) -> str:
    """Return the id of a task or a task reference."""
    return task.id if isinstance(task, Task) else task


class TaskPage(Page[Task]):
    """A page of tasks."""

    items: tuple[Task, ...] = Field(alias="tasks")
