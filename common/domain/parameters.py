"""Complete and checked parameters of a task; every field has a value.

The API's schemas define the optional fields of a submission. A ModelSpec defines what a model
allows.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.domain.models.lora import MAX_LORAS, LoraChoice
from common.domain.models.traits import OFF_AT_ONE, Guidance, PromptSyntax

MAX_PROMPT_CHARACTERS = 2_000
MAX_CLIP_SKIP = 100
MAX_SEED = 2**63 - 1
"""The largest seed that both torch's generators and Firestore's signed 64-bit integers hold."""
TORCH_SEEDS = 2**32
"""The number of seeds that torch's CPU generator distinguishes."""
DEFAULT_STRENGTH = 0.8
PictureId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The id of an uploaded picture: the SHA-256 of its bytes, in hex."""
MAX_QUALITY = 100
LOSSLESS_QUALITY = MAX_QUALITY
"""The quality at which WebP keeps every pixel."""
DEFAULT_CONTROL_SCALE = 1.0
MAX_CONTROL_SCALE = 2.0
DEFAULT_REFERENCE_SCALE = 0.6
MAX_REFERENCE_SCALE = 2.0
_PICTURES = ("image", "mask_image", "control_image", "reference_image")
_PASSES_AROUND = 3
"""Encoding the prompt and decoding the image cost about this many forwards of the denoiser."""


class Sampler(StrEnum):
    """The samplers that darkroom offers, by their common names."""

    DDIM = "ddim"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_KARRAS = "dpmpp_2m_karras"
    UNIPC = "unipc"
    LCM = "lcm"
    PNDM = "pndm"
    FLOW_EULER = "flow_euler"
    """Euler steps of flow matching."""
    OWN = "own"
    """The model's own scheduler, configured as in the checkpoint."""


class OutputFormat(StrEnum):
    """The formats in which images can be stored."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def takes_quality(self) -> bool:
        """Whether files can be made smaller by losing detail."""
        return self is not OutputFormat.PNG

    @property
    def content_type(self) -> str:
        """The media type of the files."""
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        """The extension of the file name, without a dot."""
        return "jpg" if self is OutputFormat.JPEG else self.value


class Metadata(StrEnum):
    """What an image file contains besides the image."""

    FULL = "full"
    """Its record, and the parameters in the format of other programs."""
    NONE = "none"


class GenerationParameters(BaseModel):
    """The complete parameters of a task.

    The bounds are sanity checks; the limits of the model apply. `seed` belongs to image 0. Image k
    uses `seed + k`, so that each image can be generated again separately.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    negative_prompt: str | None = Field(default=None, max_length=MAX_PROMPT_CHARACTERS)
    model: str = Field(min_length=1, max_length=100)
    steps: int = Field(ge=1, le=1_000)
    guidance_scale: float = Field(ge=0.0, le=100.0, allow_inf_nan=False)
    seed: int = Field(ge=0, le=MAX_SEED)
    sampler: Sampler
    width: int = Field(ge=8, le=8_192)
    height: int = Field(ge=8, le=8_192)
    num_images: int = Field(ge=1, le=64)
    output_format: OutputFormat
    prompt_syntax: PromptSyntax = Field(
        default=PromptSyntax.PLAIN, exclude_if=lambda syntax: syntax is PromptSyntax.PLAIN
    )
    clip_skip: int = Field(default=0, ge=0, le=MAX_CLIP_SKIP, exclude_if=lambda layers: layers == 0)
    """How many of the text encoder's last layers are skipped when it encodes the prompt."""
    guidance_rescale: float = Field(
        default=0.0, ge=0.0, le=1.0, allow_inf_nan=False, exclude_if=lambda factor: factor == 0
    )
    """How far a guided prediction is scaled back to the deviation of the unguided one."""
    eta: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False, exclude_if=lambda eta: eta == 0)
    """How much noise each step of DDIM adds: 0 none, 1 as much as DDPM."""
    guidance: Guidance = Field(
        default=Guidance.CLASSIFIER_FREE, exclude_if=lambda kind: kind is Guidance.CLASSIFIER_FREE
    )
    """How the model uses `guidance_scale`: a trait of the model, not chosen by the caller."""
    guidance_off_at: float = Field(default=OFF_AT_ONE, exclude_if=lambda scale: scale == OFF_AT_ONE)
    """The largest scale without classifier-free guidance: also a trait."""
    image: PictureId | None = Field(default=None, exclude_if=lambda picture: picture is None)
    """The picture to start from."""
    mask_image: PictureId | None = Field(default=None, exclude_if=lambda picture: picture is None)
    """The parts of `image` to generate again, in white."""
    strength: float | None = Field(default=None, gt=0.0, le=1.0, exclude_if=lambda strength: strength is None)
    """The share of the steps that changes `image`; None without one, and for models that edit it."""
    control_image: PictureId | None = Field(default=None, exclude_if=lambda picture: picture is None)
    """The control image of `controlnet`."""
    controlnet: str | None = Field(default=None, max_length=63, exclude_if=lambda name: name is None)
    """The control network; None without a control image."""
    control_scale: float | None = Field(
        default=None, ge=0.0, le=MAX_CONTROL_SCALE, exclude_if=lambda scale: scale is None
    )
    """How strongly the control network steers the image; None without a control image."""
    reference_image: PictureId | None = Field(default=None, exclude_if=lambda picture: picture is None)
    """The picture whose content and style the image follows."""
    ip_adapter: str | None = Field(default=None, max_length=63, exclude_if=lambda name: name is None)
    """The IP-Adapter that reads `reference_image`; None without one."""
    reference_scale: float | None = Field(
        default=None, ge=0.0, le=MAX_REFERENCE_SCALE, exclude_if=lambda scale: scale is None
    )
    """How closely the image follows `reference_image`; None without one."""
    loras: tuple[LoraChoice, ...] = Field(
        default=(), max_length=MAX_LORAS, exclude_if=lambda loras: not loras
    )
    """The LoRAs of the model that apply, each once."""

    output_quality: int | None = Field(
        default=None, ge=1, le=MAX_QUALITY, exclude_if=lambda quality: quality is None
    )
    """The quality of the files; None for the usual one of the format."""
    metadata: Metadata = Field(default=Metadata.FULL, exclude_if=lambda kind: kind is Metadata.FULL)

    @property
    def is_lossless(self) -> bool:
        """Whether the files keep every pixel."""
        is_webp = self.output_format is OutputFormat.WEBP
        return not self.output_format.takes_quality or (is_webp and self.output_quality == LOSSLESS_QUALITY)

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance is on, as in diffusers.

        Without it a negative prompt has no effect.
        """
        return self.guidance is Guidance.CLASSIFIER_FREE and self.guidance_scale > self.guidance_off_at

    @property
    def inputs(self) -> dict[str, str]:
        """The ids of its uploaded pictures, by the name of the field."""
        given = {name: getattr(self, name) for name in _PICTURES}
        return {name: picture for name, picture in given.items() if picture is not None}

    @property
    def computed_steps(self) -> int:
        """The denoising steps that are computed: fewer than `steps` if the image starts from a picture."""
        return self.steps if self.strength is None else min(int(self.steps * self.strength), self.steps)

    @property
    def passes_per_step(self) -> int:
        """2 when classifier-free guidance doubles the batch, else 1."""
        return 2 if self.is_guided else 1

    @property
    def images_per_pass(self) -> int:
        """How many images a pass of the network reads: 2 if it edits a picture, which it reads beside the latents."""
        return 2 if self.image is not None and self.strength is None else 1

    @property
    def pass_pixels(self) -> int:
        """Width × height × images × forwards per step."""
        return self.width * self.height * self.images_per_pass * self.passes_per_step

    @property
    def work_units(self) -> float:
        """The amount of computation, independent of the device: millions of pixels × forwards, over all images."""
        return self.num_images * self.image_work_units

    @property
    def image_work_units(self) -> float:
        """The amount of computation for one image."""
        passes = self.computed_steps * self.passes_per_step * self.images_per_pass + _PASSES_AROUND
        return passes * self.width * self.height / 1e6

    def seed_of(self, index: int) -> int:
        """Return the seed of image `index` of the task."""
        return (self.seed + index) % (MAX_SEED + 1)

    def of_image(self, index: int) -> "GenerationParameters":
        """Return the parameters of a task that consists of image `index` only."""
        return self.model_copy(update={"seed": self.seed_of(index), "num_images": 1})
