"""Requests and responses with OpenAI's names."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    RootModel,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.models.spec import ModelSpec
from common.domain.parameters import MAX_QUALITY, GenerationParameters, OutputFormat
from frontend_api.http.schemas import WHOLE, Integer, ResponseBody, Seeded, matching
from frontend_api.openai_compatibility.errors import OpenAIErrorResponse
from frontend_api.tasks.request_fields import LabelValue, bounds_of
from frontend_api.tasks.responses import WarningResponse
from frontend_api.tasks.schemas import ImageFields
from frontend_api.tasks.submit import Submission

_SAME_NAME = (
    "prompt", "negative_prompt", "steps", "guidance_scale", "seed", "sampler", "output_format", "metadata",
    "prompt_syntax", "clip_skip", "guidance_rescale", "eta",
)  # fmt: skip
_WITHOUT_EFFECT = {
    "quality": ("auto", "standard"),
    "style": (),
    "moderation": ("auto",),
    "input_fidelity": (),
}
"""Accepted fields that change nothing, and the values that promise nothing."""
_OWN_NAMES = {
    "/num_images": ("/n", ""),
    "/width": ("/size", "width "),
    "/height": ("/size", "height "),
    "/output_quality": ("/output_compression", ""),
    "/mask_image": ("/mask", ""),
}
"""Pointers of darkroom's fields: OpenAI's pointer, and what to put before the detail."""

_SIZE = matching(
    r"(auto|[0-9]{1,5}x[0-9]{1,5})", "must be auto, or width and height in pixels, such as 512x256"
)
Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]


def _opaque(background: str) -> str:
    if background == "transparent":
        raise ValueError("must be opaque or auto: no model generates transparent backgrounds")
    return background


Background = Annotated[
    Literal["transparent", "opaque", "auto"],
    AfterValidator(_opaque),
    WithJsonSchema({"type": "string", "enum": ["opaque", "auto"]}),
]


class OpenAIImageRequest(ImageFields):
    """OpenAI's request for images, and darkroom's parameters (`extra_body` of OpenAI's clients).

    Only the prompt is required. `null` means the default.
    """

    n: Integer | None = Field(
        default=None,
        description="Number of images, within the model's limit.",
        json_schema_extra=bounds_of("num_images"),
    )
    size: Annotated[str, _SIZE] | None = Field(
        default=None,
        description="Width and height in pixels, such as `512x256`. `auto`: the model's default.",
        examples=["256x256"],
    )
    stream: bool | None = Field(
        default=None, description="Whether the response is server-sent events instead of one body."
    )
    partial_images: Annotated[int, Field(ge=0, le=3), WHOLE] | None = Field(
        default=None,
        description="How many previews of each image the events contain, at most. Requires `stream`.",
    )
    response_format: Literal["url", "b64_json"] | None = Field(
        default=None,
        description="Links to the images or their bytes. Default: `b64_json`. `stream` excludes links.",
    )
    background: Background | None = Field(default=None, description="`transparent` is refused.")
    user: LabelValue | None = Field(default=None, description="Stored as the task's label `user`.")
    safety_identifier: LabelValue | None = Field(default=None, description="The newer name of `user`.")
    quality: Quality | None = Field(default=None, description="Has no effect; set `steps` instead.")
    style: Literal["vivid", "natural"] | None = Field(default=None, description="Has no effect.")
    moderation: Literal["low", "auto"] | None = Field(
        default=None, description="Has no effect: a model's safety checker always runs."
    )
    output_compression: Annotated[int, Field(ge=0, le=100), WHOLE] | None = Field(
        default=None,
        description="The quality of `jpeg`, `webp` and `avif` files: 100 is the best. 100 is accepted with `png`, too.",
    )

    @field_validator("partial_images")
    @classmethod
    def _only_in_streams(cls, count: int | None, info: ValidationInfo) -> int | None:
        if count and not info.data.get("stream"):
            raise ValueError("must be 0 or absent without `stream`")
        return count

    @field_validator("response_format")
    @classmethod
    def _no_links_in_streams(cls, kind: str | None, info: ValidationInfo) -> str | None:
        if kind == "url" and info.data.get("stream"):
            raise ValueError("must be b64_json or absent with `stream`: events contain the images")
        return kind

    def submission(self, *, user_id: str, idempotency_key: str | None) -> Submission:
        parameters: dict[str, Any] = {
            **self.model_dump(include=set(_SAME_NAME)),
            **self._sides(),
            "num_images": self.n,
            "output_quality": self._quality(),
        }
        end_user = self.safety_identifier or self.user
        return Submission(
            user_id=user_id,
            parameters=parameters,
            model=self.model,
            labels={"user": end_user} if end_user else {},
            idempotency_key=idempotency_key,
        )

    def warnings(self) -> Iterator[WarningResponse]:
        """Yield a warning for each field that asks for something that darkroom does not do."""
        for name, harmless in _WITHOUT_EFFECT.items():
            value = getattr(self, name, None)
            if value is not None and value not in harmless:
                yield WarningResponse(
                    code="field_without_effect", pointer=f"/{name}", detail=f"`{name}` has no effect"
                )

    def _quality(self) -> int | None:
        """Return the quality, from 1; None for 100 where the format may have none: it is OpenAI's default."""
        if self.output_compression is None:
            return None
        is_lossy = self.output_format is not None and self.output_format.takes_quality
        if self.output_compression == MAX_QUALITY and not is_lossy:
            return None
        return max(1, self.output_compression)

    def _sides(self) -> dict[str, int]:
        if self.size is None or self.size == "auto":
            return {}
        width, height = self.size.split("x")
        return {"width": int(width), "height": int(height)}


def use_openai_names(error: ParametersRejectedError) -> None:
    """Replace the names of the fields in the error of a submission by those that the caller used."""
    error.problems = tuple(map(_renamed, error.problems))


def _renamed(problem: FieldProblem) -> FieldProblem:
    pointer, before = _OWN_NAMES.get(problem.pointer, (problem.pointer, ""))
    return FieldProblem(pointer, before + problem.detail)


class OpenAIImage(Seeded):
    """An image: its bytes in base64, or a link."""

    b64_json: str | None = Field(default=None, exclude_if=lambda text: text is None)
    url: str | None = Field(
        default=None,
        exclude_if=lambda url: url is None,
        description="A link that expires, where links can be signed; otherwise an address of this API, which needs "
        "the caller's credentials.",
    )
    seed: int = Field(description="The seed that generates this image again.")


class OpenAIImagesResponse(ResponseBody):
    """The generated images."""

    created: int = Field(description="When the task finished, in seconds since 1970.")
    data: tuple[OpenAIImage, ...]
    background: Literal["opaque"] = "opaque"
    output_format: OutputFormat
    size: str
    task_id: str = Field(description="The task, as in `/v1/tasks`.")
    warnings: tuple[WarningResponse, ...] = Field(
        description="What was not honoured: warnings of the task, fields without effect, failed images."
    )


class OpenAIImagesOrError(RootModel[OpenAIImagesResponse | OpenAIErrorResponse]):
    """The images; an error if the response began before the task failed or the wait ended."""


class OpenAITokenDetails(ResponseBody):
    """Always 0."""

    image_tokens: int = 0
    text_tokens: int = 0


class OpenAIUsage(ResponseBody):
    """Always 0: darkroom counts GPU seconds, not tokens. Clients require the fields."""

    input_tokens: int = 0
    input_tokens_details: OpenAITokenDetails = OpenAITokenDetails()
    output_tokens: int = 0
    total_tokens: int = 0


class _ImageEvent(ResponseBody):
    b64_json: str
    background: Literal["opaque"] = "opaque"
    created_at: int = Field(description="In seconds since 1970.")
    quality: Quality = Field(description="As requested; it has no effect.")
    size: str = Field(description="The size of the finished image; a preview is smaller.")
    image_index: int = Field(description="The image of the task, from 0.")
    task_id: str


class OpenAIPartialImageEvent(_ImageEvent):
    """A preview of an image in progress."""

    type: Literal["image_generation.partial_image", "image_edit.partial_image"]
    output_format: Literal["jpeg"] = "jpeg"
    partial_image_index: int = Field(description="The preview of this image, from 0.")


class OpenAICompletedEvent(_ImageEvent, Seeded):
    """A finished image."""

    type: Literal["image_generation.completed", "image_edit.completed"]
    output_format: OutputFormat
    seed: int
    usage: OpenAIUsage = OpenAIUsage()
    warnings: tuple[WarningResponse, ...]


class OpenAIImageEvent(RootModel[OpenAIPartialImageEvent | OpenAICompletedEvent | OpenAIErrorResponse]):
    """The data of an event."""


class OpenAIModel(ResponseBody):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="Always 0.")
    owned_by: Literal["darkroom"] = "darkroom"

    @classmethod
    def of_spec(cls, spec: ModelSpec) -> Self:
        return cls(id=spec.name)


class OpenAIModelList(ResponseBody):
    """All models; the first is the default."""

    object: Literal["list"] = "list"
    data: tuple[OpenAIModel, ...]


def size_of(parameters: GenerationParameters) -> str:
    return f"{parameters.width}x{parameters.height}"
