"""Response schemas for tasks. A schema that only one route uses is defined beside that route."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from pydantic import Field

from common.domain.images import StoredImage
from common.domain.parameters import GenerationParameters
from common.domain.provenance import Provenance
from common.domain.task import Lane, Phase, Task, TaskStatus
from frontend_api.estimates.estimate import NO_ESTIMATE, Estimate
from frontend_api.http.schemas import ResponseBody, RoundedSeconds, Seeded, fields_of
from frontend_api.images.ports import SignedLink
from frontend_api.usage.usage import GpuPrice

NO_LINKS: Mapping[int, SignedLink] = MappingProxyType({})


class ImageProgressResponse(ResponseBody):
    """Progress of one image of a task."""

    index: int
    phase: Phase
    step: int


class ProgressResponse(ResponseBody):
    """Progress of a task: `value` is 0 to 1."""

    phase: Phase
    value: float = Field(description="The mean over the images.")
    step: int = Field(description="The step of the slowest image.")
    steps: int
    images: tuple[ImageProgressResponse, ...] = Field(
        description="The progress of each image; empty unless a worker holds the task."
    )


class ParametersResponse(GenerationParameters, Seeded):
    """The complete parameters of a task."""


class ImageResponse(Seeded):
    """A finished image.

    A relative `url` needs the caller's credentials; an absolute `url` works until it expires.
    """

    index: int
    url: str
    thumbnail_url: str = Field(description="A small version of the image. It needs the caller's credentials.")
    url_expires_at: datetime | None = Field(
        description="When an absolute `url` stops working; null for a relative one."
    )
    width: int
    height: int
    seed: int
    content_type: str
    size_bytes: int
    sha256: str
    provenance: Provenance | None = Field(
        description="Everything that determined the pixels; null for images stored by older versions."
    )


class PreviewResponse(ResponseBody):
    """A preview of an image in progress. `url` needs the caller's credentials."""

    index: int
    step: int = Field(description="The number of steps after which the preview was made.")
    url: str


class FailureResponse(ResponseBody):
    """Why the latest attempt or the task failed."""

    code: str
    message: str
    retryable: bool


class WarningResponse(ResponseBody):
    """A part of the request without the expected effect. The task is accepted nevertheless."""

    code: str = Field(
        description="`prompt_truncated`, `negative_prompt_without_effect`, `prompt_weights_ignored`, "
        "`seed_above_32_bits`, or a code of a later version."
    )
    pointer: str = Field(description="The field of the request, as a JSON pointer.")
    detail: str
    tokens: int | None = Field(
        default=None,
        description="With `prompt_truncated`: how many tokens the text has. The model reads fewer.",
    )


class FailedImageResponse(ResponseBody):
    """An image that could not be generated, and why."""

    index: int
    code: str
    message: str


class AttemptResponse(ResponseBody):
    """One finished attempt."""

    attempt: int
    worker_id: str
    ending: str = Field(
        description="`completed`, `cancelled`, `handed_back`, `claim_expired`, `holder_silent`, or a failure's code."
    )
    started_at: datetime | None = Field(description="null for attempts recorded by older versions.")
    ended_at: datetime
    gpu_seconds: float | None = Field(
        description="Device seconds; of a lost worker, until its last heartbeat. null: not recorded."
    )


class EtaResponse(ResponseBody):
    """Estimated time until the task finishes, in seconds from now.

    Half of such tasks finish within p50, nine of ten within p90.
    """

    p50_seconds: RoundedSeconds
    p90_seconds: RoundedSeconds


class CostResponse(ResponseBody):
    """The price of the task for its owner.

    `wasted_gpu_seconds` are free of charge.
    """

    price: float | None = Field(
        description="Price of `gpu_seconds`; null until the task has finished with an image."
    )
    currency: str

    @classmethod
    def of(cls, gpu_seconds: float | None, price: GpuPrice | None) -> "CostResponse | None":
        """Compute the cost; return None when no price is configured."""
        if price is None:
            return None
        return cls(price=None if gpu_seconds is None else price.of(gpu_seconds), currency=price.currency)


class MetricsResponse(ResponseBody):
    """GPU and waiting time of the task, in seconds; null until known."""

    queue_seconds: float | None
    inference_seconds: float | None
    gpu_seconds: float | None = Field(description="Device seconds that produced the stored images.")
    wasted_gpu_seconds: float = Field(
        description="Device seconds that produced no stored image. Until the task has finished, seconds that a "
        "later attempt may still use are in neither field."
    )


class UrlsResponse(ResponseBody):
    """Related URLs, relative to the API's host."""

    self_: str = Field(serialization_alias="self")
    events: str
    cancel: str


class TaskResponse(ResponseBody):
    """A task. Fields that are not known yet are null."""

    id: str
    status: TaskStatus
    model: str
    parameters: ParametersResponse
    labels: dict[str, str]
    lane: Lane
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(
        description="When the task may be deleted; null until it has finished."
    )
    start_by: datetime | None
    cancel_requested_at: datetime | None
    attempt: int
    history: tuple[AttemptResponse, ...] = Field(description="The latest finished attempts, oldest first.")
    queue_position: int | None = Field(
        description="Number of queued tasks of the model ahead of it; 0 while a worker holds it but has not started; "
        "null once it has, and in lists."
    )
    eta: EtaResponse | None = Field(
        description="Time until it finishes; null once it has finished, if unknown, and in lists and webhooks."
    )
    model_served: bool | None = Field(
        description="Whether a live worker serves the model; if false, the task stays queued. null once it has "
        "finished, if unknown, and in lists and webhooks."
    )
    progress: ProgressResponse
    images: tuple[ImageResponse, ...] = Field(
        description="The finished images, each as soon as it is stored. A cancelled or failed task keeps them."
    )
    previews: tuple[PreviewResponse, ...] = Field(
        description="The previews of images in progress. Their URLs always return the newest preview."
    )
    failed_images: tuple[FailedImageResponse, ...] = Field(
        description="The images that could not be generated. A completed task with such images can be retried."
    )
    failure: FailureResponse | None
    warnings: tuple[WarningResponse, ...] = Field(
        description="Parts of the request that have no effect. A worker may add warnings."
    )
    callback_url: str | None
    callback_events: tuple[str, ...]
    callback_headers: tuple[str, ...] = Field(
        description="The names of the headers. No response contains values."
    )
    metrics: MetricsResponse
    cost: CostResponse | None = Field(description="null if no price is configured.")
    urls: UrlsResponse

    @classmethod
    def of(
        cls,
        task: Task,
        links: Mapping[int, SignedLink] = NO_LINKS,
        *,
        estimate: Estimate = NO_ESTIMATE,
        price: GpuPrice | None,
        base_path: str = "",
    ) -> "TaskResponse":
        """Build the response for the task's owner.

        `links` maps the indexes of images to signed links; images without a link may be missing.
        `base_path` precedes the API's own paths.
        """
        own = f"{base_path}{task_path(task.id)}"
        return cls.model_validate(
            {
                **fields_of(task),
                "model": task.parameters.model,
                "parameters": ParametersResponse.model_construct(**dict(task.parameters)),
                "callback_headers": tuple(task.callback_headers),
                "expires_at": task.expires_at,
                "queue_position": estimate.queue_position,
                "eta": estimate.eta,
                "model_served": estimate.model_served,
                "images": [_image_response(own, image, links.get(image.index)) for image in task.images],
                "previews": [
                    {"index": preview.index, "step": preview.step, "url": f"{own}/previews/{preview.index}"}
                    for preview in task.previews
                ],
                "metrics": _metrics_response(task),
                "cost": CostResponse.of(task.usage.gpu_seconds, price),
                "urls": UrlsResponse(
                    self_=own,
                    events=f"{own}/events",
                    cancel=f"{own}/cancel",
                ),
            }
        )


class TaskPageResponse(ResponseBody):
    """A page of tasks, newest first; `next_page_token` is null on the last page."""

    tasks: tuple[TaskResponse, ...]
    next_page_token: str | None


class WebhookBody(ResponseBody):
    """The body of a POST to a callback URL."""

    type: str = Field(
        description="`task.completed`, `task.failed`, `task.cancelled`, `task.started` or `task.progress`."
    )
    timestamp: datetime = Field(description="When the event occurred.")
    data: TaskResponse = Field(description="The task at the time of the delivery.")


def task_path(task_id: str) -> str:
    return f"/v1/tasks/{task_id}"


def _image_response(own: str, image: StoredImage, link: SignedLink | None) -> ImageResponse:
    url = f"{own}/images/{image.index}" if link is None else link.url
    expires_at = None if link is None else link.expires_at
    addresses = {
        "url": url,
        "url_expires_at": expires_at,
        "thumbnail_url": f"{own}/images/{image.index}/thumbnail",
    }
    return ImageResponse.model_validate({**fields_of(image), **addresses})


def _metrics_response(task: Task) -> MetricsResponse:
    waited = None if task.started_at is None else (task.started_at - task.created_at).total_seconds()
    return MetricsResponse.model_validate({**fields_of(task.usage), "queue_seconds": waited})
