"""GenerationParameters: what to draw, complete and checked. Every field has a value; nothing is left to chance.

What a caller may leave out lives in the API's schemas; what a model allows lives in its ModelSpec.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from common.domain.model_traits import Guidance

MAX_PROMPT_CHARACTERS = 2_000
MAX_SEED = 2**63 - 1
"""The largest seed torch's generators take that Firestore's signed 64-bit integers hold, too."""
_PASSES_AROUND = 3
"""Encoding the prompt and decoding the image cost about as much as so many forwards of the denoiser."""


class Sampler(StrEnum):
    """The samplers darkroom offers, by the names this field uses for them."""

    DDIM = "ddim"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_KARRAS = "dpmpp_2m_karras"
    UNIPC = "unipc"
    LCM = "lcm"
    PNDM = "pndm"
    OWN = "own"
    """The model's own scheduler, configured as the checkpoint has it."""


class OutputFormat(StrEnum):
    """The image formats a task's pictures can be stored in."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        """The IANA media type."""
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        """The file name's ending, without a dot."""
        return "jpg" if self is OutputFormat.JPEG else self.value


class GenerationParameters(BaseModel):
    """What to draw. Fields carry the seed names of the wire; bounds here are sanity, a ModelSpec's are the law.

    `seed` belongs to image 0; image k of the task is drawn with `seed + k`, so any image can be made again alone.
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
    guidance: Guidance = Field(
        default=Guidance.CLASSIFIER_FREE, exclude_if=lambda kind: kind is Guidance.CLASSIFIER_FREE
    )
    """What the model does with `guidance_scale`: a trait of the model, never a caller's choice."""

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance is on, as diffusers has it; without it a negative prompt has no effect."""
        return self.guidance is Guidance.CLASSIFIER_FREE and self.guidance_scale > 1

    @property
    def passes_per_step(self) -> int:
        """2 when classifier-free guidance doubles the batch, else 1."""
        return 2 if self.is_guided else 1

    @property
    def pass_pixels(self) -> int:
        """What a step computes: pixels × forwards."""
        return self.width * self.height * self.passes_per_step

    @property
    def work_units(self) -> float:
        """How much there is to compute, on whatever device: millions of pixels × forwards, over all images."""
        return self.num_images * self.image_work_units

    @property
    def image_work_units(self) -> float:
        """The same for one image."""
        passes = self.steps * self.passes_per_step + _PASSES_AROUND
        return passes * self.width * self.height / 1e6

    def seed_of(self, index: int) -> int:
        """The seed that image `index` of the task is drawn with."""
        return (self.seed + index) % (MAX_SEED + 1)

    def of_image(self, index: int) -> "GenerationParameters":
        """Of a task that would be image `index` of this one, alone."""
        return self.model_copy(update={"seed": self.seed_of(index), "num_images": 1})
