"""Request schemas: bodies and queries, strict, without unknown fields.

They check types. The chosen model (ModelSpec) limits values such as steps and pixels.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from common.domain.models.lora import MAX_LORA_SCALE, MAX_LORAS
from common.domain.models.traits import PromptSyntax
from common.domain.parameters import (
    DEFAULT_CONTROL_SCALE,
    DEFAULT_REFERENCE_SCALE,
    DEFAULT_STRENGTH,
    MAX_CONTROL_SCALE,
    MAX_REFERENCE_SCALE,
    Metadata,
    OutputFormat,
    PictureId,
    Sampler,
)
from common.domain.task import Lane, TaskStatus
from common.ports import TaskFilter
from frontend_api.http.schemas import (
    WHOLE,
    Integer,
    PageSize,
    QueryParameters,
    RequestBody,
    Text,
    Timestamp,
    a_page_token,
)
from frontend_api.tasks.request_fields import (
    CallbackEvent,
    CallbackHeaders,
    CallbackUrlText,
    LabelChanges,
    LabelFilter,
    Labels,
    ModelName,
    Prompt,
    Seed,
    state_bounds,
)
from frontend_api.tasks.submit import Submission
from frontend_api.webhooks.callback_headers import MAX_ALL_CHARACTERS

MAX_DEADLINE_SECONDS = 7 * 24 * 3_600
"""Pub/Sub keeps a message for seven days."""
_MAX_FIELDS = 40
"""Per submission; more than the schema has, so that a response names a few unknown fields but not thousands."""
_PARAMETERS = frozenset(
    (
        "prompt", "negative_prompt", "steps", "guidance_scale", "seed", "sampler", "width", "height",
        "num_images", "output_format", "output_quality", "metadata", "image", "mask_image", "strength",
        "prompt_syntax", "clip_skip", "guidance_rescale", "eta", "loras",
        "control_image", "controlnet", "control_scale", "reference_image", "ip_adapter", "reference_scale",
    )
)  # fmt: skip


class BodyWithFewFields(RequestBody):
    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, fields: object) -> object:
        if isinstance(fields, dict) and len(fields) > _MAX_FIELDS:
            raise ValueError(f"must have at most {_MAX_FIELDS} fields (got {len(fields)})")
        return fields


class ImageFields(BodyWithFewFields):
    """What every request for images may contain."""

    model_config = ConfigDict(json_schema_extra=state_bounds)

    prompt: Prompt = Field(
        description="Description of the images.", examples=["a large red circle above a small blue square"]
    )
    negative_prompt: Text | None = Field(default=None, description="What the images must not show.")
    model: ModelName | None = Field(
        default=None, description="The name of a model from `/v1/models`. Default: the first model."
    )
    steps: Integer | None = Field(default=None, description="Number of denoising steps.", examples=[20])
    guidance_scale: float | None = Field(
        default=None, allow_inf_nan=False, description="How closely the images follow the prompt."
    )
    seed: Seed | None = Field(
        default=None,
        description="0 to 2⁶³−1, a number or text. Above 2⁵³, numbers have no fraction and no exponent. The same "
        "seed generates the same image; image k uses seed + k. Default: random.",
    )
    sampler: Annotated[Sampler, Field(strict=False)] | None = Field(
        default=None, description="A sampler that the model supports."
    )
    prompt_syntax: Annotated[PromptSyntax, Field(strict=False)] | None = Field(
        default=None,
        description="How the prompts are read: `plain`, literally; `weighted`, with weights such as `(word:1.3)` and "
        "beyond the encoder's limit. Default: `plain`.",
    )
    clip_skip: Integer | None = Field(
        default=None,
        description="How many of the text encoder's last layers are skipped for the prompt. Default: 0.",
    )
    guidance_rescale: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="0 to 1: how far guidance that overexposes an image is scaled back. Default: 0.",
    )
    eta: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="0 to 1: how much noise each step of the sampler `ddim` adds. Default: 0.",
    )
    output_format: Annotated[OutputFormat, Field(strict=False)] | None = Field(
        default=None, description="File format of the images."
    )
    metadata: Annotated[Metadata, Field(strict=False)] | None = Field(
        default=None,
        description="What the files contain besides the image: `full`, the parameters and how the image was "
        "generated; or `none`.",
    )


class LoraField(RequestBody):
    """A LoRA to apply."""

    name: ModelName = Field(description="The name of a LoRA that `/v1/models` lists for the model.")
    scale: float | None = Field(
        default=None,
        allow_inf_nan=False,
        json_schema_extra={"minimum": -MAX_LORA_SCALE, "maximum": MAX_LORA_SCALE},
        description="How strongly it applies: 1 as trained, 0 not at all. Default: the LoRA's own.",
    )


class TaskSubmission(ImageFields):
    """A request for images.

    Only the prompt is required; the model provides defaults for the rest. `null` means the default.
    """

    width: Integer | None = Field(default=None, description="Pixels.", examples=[256])
    height: Integer | None = Field(default=None, description="Pixels.", examples=[256])
    num_images: Integer | None = Field(default=None, description="Number of images.")
    output_quality: Integer | None = Field(
        default=None,
        description="1 to 100, for `jpeg`, `webp` and `avif`. WebP keeps every pixel at 100. Default: 92, 90 and 80.",
    )
    loras: Annotated[list[LoraField], Field(max_length=MAX_LORAS)] | None = Field(
        default=None,
        description="LoRAs of the model to apply together, each once.",
        examples=[[{"name": "pixel-art", "scale": 0.8}]],
    )
    image: PictureId | None = Field(
        default=None, description="Id of an uploaded picture to start from, if the model takes one."
    )
    mask_image: PictureId | None = Field(
        default=None, description="Id of an uploaded mask: the white parts of `image` are generated again."
    )
    strength: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="How far `image` is changed: the share of the steps that are computed, above 0 and at most 1. "
        f"Default: {DEFAULT_STRENGTH}.",
    )
    control_image: PictureId | None = Field(
        default=None,
        description="Id of an uploaded control image, such as edges, if the model has control networks.",
    )
    controlnet: ModelName | None = Field(
        default=None, description="The control network of `control_image`. Default: the model's only one."
    )
    control_scale: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description=f"How strongly `control_image` steers the image: 0 to {MAX_CONTROL_SCALE:g}. "
        f"Default: {DEFAULT_CONTROL_SCALE:g}.",
    )
    reference_image: PictureId | None = Field(
        default=None,
        description="Id of an uploaded picture whose content and style the image follows, if the model has "
        "IP-Adapters.",
    )
    ip_adapter: ModelName | None = Field(
        default=None,
        description="The IP-Adapter that reads `reference_image`. Default: the model's only one.",
    )
    reference_scale: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description=f"How closely the image follows `reference_image`: 0 to {MAX_REFERENCE_SCALE:g}. "
        f"Default: {DEFAULT_REFERENCE_SCALE:g}.",
    )
    lane: Annotated[Lane, Field(strict=False)] = Field(
        default=Lane.INTERACTIVE,
        description="Priority: `interactive` if a person waits for the result, otherwise `batch`.",
    )
    labels: Labels = Field(default_factory=dict, description="Your own key-value pairs, returned unchanged.")
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE_SECONDS), WHOLE] | None = Field(
        default=None, description="The task fails if no worker has started it within this time."
    )
    callback_url: CallbackUrlText | None = Field(
        default=None,
        description="URL that receives the task's events as Standard Webhooks; https to a public address.",
    )
    callback_events: Annotated[list[CallbackEvent], Field(min_length=1, max_length=3)] | None = Field(
        default=None, description="The events to send. Default: `finished`."
    )
    callback_headers: CallbackHeaders | None = Field(
        default=None,
        description="Headers to add to the requests, such as `Authorization`. They are stored encrypted. Names that "
        f"HTTP, tracing and Standard Webhooks need are reserved. All values have at most {MAX_ALL_CHARACTERS:,} "
        "characters.",
    )

    def submission(self, *, user_id: str, idempotency_key: str | None) -> Submission:
        parameters: dict[str, Any] = self.model_dump(include=set(_PARAMETERS))
        seconds = self.deadline_seconds
        return Submission(
            user_id=user_id,
            parameters=parameters,
            model=self.model,
            lane=self.lane,
            labels=self.labels,
            start_within=None if seconds is None else timedelta(seconds=seconds),
            callback_url=self.callback_url,
            callback_events=tuple(dict.fromkeys(self.callback_events or ("finished",))),
            callback_headers=self.callback_headers or {},
            idempotency_key=idempotency_key,
        )


class LabelChange(RequestBody):
    """Labels to set and to remove."""

    labels: LabelChanges = Field(description="New values by name; `null` removes a label. Others are kept.")


class TaskConditions(QueryParameters):
    """Selects tasks that meet all given conditions."""

    status: TaskStatus | None = Field(default=None, description="Only tasks with this status.")
    model: ModelName | None = Field(default=None, description="Only tasks of this model.")
    label: LabelFilter | None = Field(
        default=None, description="Only tasks with this label, as `name=value`.", examples=["team=a"]
    )
    created_after: Timestamp | None = Field(
        default=None, description="Only tasks created at this time or later."
    )
    created_before: Timestamp | None = Field(default=None, description="Only tasks created before this time.")

    @property
    def selected(self) -> TaskFilter:
        name, _, value = (self.label or "").partition("=")
        return TaskFilter(
            status=self.status,
            model=self.model,
            label=(name, value) if name else None,
            created_after=self.created_after,
            created_before=self.created_before,
        )


PageToken = Annotated[str, a_page_token(r"[A-Za-z0-9_-]{1,500}")]


class TaskListQuery(TaskConditions):
    """Selects the tasks to list."""

    page_size: PageSize = Field(default=20, description="Maximum number of tasks per page.")
    page_token: PageToken | None = Field(default=None, description="`next_page_token` of the previous page.")
