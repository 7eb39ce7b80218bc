"""Everything besides the parameters that determines an image's pixels, to reproduce and compare it.

The record is for the image's owner and is stored in the file: it contains neither the caller's
identity nor the operator's paths.
"""

from pydantic import BaseModel, ConfigDict, Field

MAX_RESUMES = 8
"""Number of latest resumes that are recorded: a run may be handed back any number of times."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Environment(_Record):
    """Where steps were computed. Any difference here may change the last bits of every number."""

    device: str
    """The vendor's name of a GPU, or `cpu`."""
    capability: str | None = None
    """A CPU's instruction set, as torch uses it (`AVX2`), or a GPU's compute capability (`9.0`)."""
    threads: int | None = None
    """Threads of one forward; None on a GPU."""
    dtype: str
    channels_last: tuple[str, ...] = ()
    """The networks in channels-last memory format, chosen by measuring at each start."""
    compiled: bool = False
    attention: str | None = Field(default=None, exclude_if=lambda kernel: kernel is None)
    """The kernel of attention, if it was chosen by measuring: torch's name of it."""
    quantization: str | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The numbers in which the denoiser's linear layers compute, if they are quantized."""
    versions: dict[str, str]
    """Versions of the software that affects pixels, by name."""


class Resume(_Record):
    """A resume of the run from the checkpoint after `step` steps of its sampler."""

    step: int
    before: Environment | None = None
    """Where the earlier steps were computed, if in another environment than the last."""


class AppliedLora(_Record):
    """A LoRA that was applied."""

    name: str
    scale: float
    sha256: str
    """Of the file, in hex."""


class DrawConditions(_Record):
    """What the engine reports of a finished run."""

    revision: str | None = None
    """The model's revision, if its source has any."""
    weights: dict[str, str]
    """SHA-256, in hex, of each file of weights, by its path in the model."""
    sampler_config: dict[str, bool | int | float | str]
    """The diffusers class as `class`, and all values that differ from the class's defaults."""
    environment: Environment
    batches: tuple[int, ...]
    """How many runs shared each step: sums differ in their last bits between batch sizes."""
    resumes: tuple[Resume, ...] = ()
    """The latest resumes, oldest first. A resumed run generates the same image."""
    started_over_because: str | None = None
    """Why a checkpoint was refused, so that the image was started over; None if none was."""
    decoded_in_tiles: bool = False
    """The image was decoded in tiles because memory was short; seams may be visible."""
    decoded_together: int = Field(default=1, exclude_if=lambda images: images == 1)
    """How many images were decoded in one pass."""
    loras: tuple[AppliedLora, ...] = Field(default=(), exclude_if=lambda loras: not loras)
    """The LoRAs that were applied, except those with a scale of 0."""


class Provenance(DrawConditions):
    """How a stored image was generated."""

    attempt: int
    """The attempt that finished the image; 0 if it was generated outside of any task."""
    pixels_sha256: str
    """Of the generated pixels: RGB, eight bits each, row by row."""
    decoded_sha256: str
    """Of the decoded file, in the same layout; differs for lossy formats."""
