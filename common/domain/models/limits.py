"""The bounds of a model's parameters, and its defaults."""

from pydantic import BaseModel, ConfigDict, Field

from common.domain.models.traits import PromptSyntax
from common.domain.parameters import MAX_PROMPT_CHARACTERS, Metadata, OutputFormat, Sampler


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelLimits(_Record):
    """The bounds of a model's parameters, both ends included."""

    min_steps: int = Field(default=1, ge=1)
    max_steps: int = Field(default=100, ge=1)
    min_guidance_scale: float = Field(default=0.0, ge=0.0)
    max_guidance_scale: float = Field(default=20.0, ge=0.0)
    min_side: int = Field(default=64, ge=8)
    """Smallest width and height, pixels."""
    max_side: int = Field(default=1_024, ge=8)
    """Largest width and height, pixels."""
    side_multiple: int = Field(default=8, ge=1)
    """Width and height must be multiples of this many pixels."""
    max_images: int = Field(default=4, ge=1)
    max_prompt_characters: int = Field(default=MAX_PROMPT_CHARACTERS, ge=1, le=MAX_PROMPT_CHARACTERS)


class ModelDefaults(_Record):
    """The defaults of a model. The seed is random; the prompt has no default."""

    steps: int = 30
    guidance_scale: float = 7.5
    sampler: Sampler = Sampler.DDIM
    width: int = 512
    height: int = 512
    num_images: int = 1
    output_format: OutputFormat = OutputFormat.PNG
    metadata: Metadata = Metadata.FULL
    """`none`: files without a record, unless the caller asks for one."""
    negative_prompt: str | None = None
    prompt_syntax: PromptSyntax = Field(
        default=PromptSyntax.PLAIN, exclude_if=lambda syntax: syntax is PromptSyntax.PLAIN
    )
    clip_skip: int = Field(default=0, ge=0, exclude_if=lambda layers: layers == 0)
    guidance_rescale: float = Field(default=0.0, exclude_if=lambda factor: factor == 0)
