"""Provenance: all that decided an image's pixels besides its parameters, so that it can be drawn again and compared.

It is for the image's owner and travels inside the file: nothing here says who asked, or where an operator keeps things.
"""

from pydantic import BaseModel, ConfigDict

MAX_RESUMES = 8
"""So many of the latest are told: a Run that is handed back costs no attempt, so there may be any number."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Environment(_Record):
    """Where steps were computed. Whatever differs here may change the last bits of every number."""

    device: str
    """A GPU as its maker calls it, or `cpu`."""
    capability: str | None = None
    """A CPU's instruction set, as torch uses it (`AVX2`), or a GPU's compute capability (`9.0`)."""
    threads: int | None = None
    """Threads of one forward; None on a GPU."""
    dtype: str
    channels_last: tuple[str, ...] = ()
    """The networks whose tensors lie in channels-last order. Chosen by measuring at the start: the next may differ."""
    compiled: bool = False
    versions: dict[str, str]
    """Software that decides pixels, by name."""


class Resume(_Record):
    """The Run went on from a checkpoint, with `step` of its sampler's steps behind it."""

    step: int
    before: Environment | None = None
    """Where the steps before were computed, if not where the image was finished."""


class Circumstances(_Record):
    """What the engine tells of a Run that it has finished."""

    revision: str | None = None
    """Of the model, where its source has any."""
    weights: dict[str, str]
    """SHA-256, in hex, of each file of weights, by its path inside the model."""
    sampler_config: dict[str, bool | int | float | str]
    """The diffusers class as `class`, and whatever is not as that class has it by default."""
    environment: Environment
    batches: tuple[int, ...]
    """How many Runs shared each of the sampler's steps: sums differ in their last bits between batch sizes."""
    resumes: tuple[Resume, ...] = ()
    """The latest ones, oldest first. A Run that is resumed draws what it would have drawn undisturbed."""
    started_over_because: str | None = None
    """Why an earlier attempt's checkpoint was refused; None if none was. What it had drawn was drawn again."""
    decoded_in_tiles: bool = False
    """Memory was short, and the seams may show."""


class Provenance(Circumstances):
    """How one stored image came about."""

    attempt: int
    """Which attempt finished it; 0: none, it was drawn outside of any task."""
    pixels_sha256: str
    """Of the picture as it was drawn: RGB, eight bits each, row by row."""
    decoded_sha256: str
    """Of the picture as the file shows it, in the same order: another one where the format loses something."""
