"""How an image was generated, as in the task and in the image's own file."""

from pydantic import ConfigDict, Field

from darkroom.models.record import Record


class Environment(Record):
    """Where the steps were computed. Any difference here may change the last bits of every number."""

    device: str
    capability: str | None = None
    threads: int | None = None
    dtype: str
    channels_last: tuple[str, ...] = ()
    compiled: bool = False
    attention: str | None = None
    quantization: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Resume(Record):
    """A resume from the checkpoint after `step` steps.

    `before` is the environment that computed these steps, if it differs.
    """

    step: int
    before: Environment | None = None


class AppliedLora(Record):
    """A LoRA that was applied, with the SHA-256 of its file."""

    name: str
    scale: float
    sha256: str


class Provenance(Record):
    """Everything besides the parameters that determines an image's pixels, and their SHA-256."""

    model_config = ConfigDict(allow_inf_nan=True)  # samplers have infinite settings
    attempt: int
    revision: str | None = None
    weights: dict[str, str]
    sampler_config: dict[str, bool | int | float | str]
    environment: Environment
    batches: tuple[int, ...]
    resumes: tuple[Resume, ...] = ()
    started_over_because: str | None = None
    decoded_in_tiles: bool = False
    decoded_together: int = 1
    loras: tuple[AppliedLora, ...] = ()
    pixels_sha256: str
    decoded_sha256: str
