"""Models of the catalog."""

from typing import Any

from pydantic import Field

from darkroom.models.record import Record


class Lora(Record):
    """A LoRA of a model: additional weights that change its style or its subjects."""

    name: str
    title: str = ""
    trigger: str = ""
    """Words that the prompt should contain."""
    scale: float = 1.0
    """The scale of a submission that states none."""
    min_scale: float
    max_scale: float


class ModelSpec(Record):
    """A model: what it accepts, and its defaults for omitted fields."""

    name: str
    title: str
    description: str = ""
    family: str
    shares_steps: bool | None = None
    """Whether images of different tasks share denoising steps; None if the server does not state it."""
    samplers: tuple[str, ...] = ()
    """The samplers that the model obeys. `own` is the scheduler of the checkpoint."""
    output_formats: tuple[str, ...] = ()
    max_prompt_tokens: int | None = None
    """Number of prompt tokens that the model reads, without begin and end tokens; it ignores the
    rest.
    """
    prompt_syntaxes: tuple[str, ...] = ()
    """How the model can read prompts: `plain`, and `weighted` where it reads weights and long prompts."""
    controlnets: tuple[dict[str, str], ...] = ()
    """The control networks that a task can choose from, each with `name` and `title`."""
    ip_adapters: tuple[dict[str, str], ...] = ()
    """The IP-Adapters that a task can choose from, each with `name` and `title`."""
    inputs: tuple[str, ...] = ()
    """What an image can be generated from: `text` is the prompt."""
    adapters: tuple[str, ...] = ()
    """The kinds of additional weights that a task can choose: `lora` and `ip_adapter`."""
    loras: tuple[Lora, ...] = ()
    """The LoRAs that a task can choose."""
    traits: dict[str, Any] = Field(default_factory=dict)
    """Which parameters have an effect: `guidance` (`classifier_free`, `embedded` or `none`),
    `negative_prompt` and `guidance_off_at`. `required_inputs` are the inputs besides the text
    that every task needs. The API refuses parameters without effect.
    """
    limits: dict[str, Any] = Field(default_factory=dict)
    defaults: dict[str, Any] = Field(default_factory=dict)
    example: dict[str, str] | None = None
    """The `prompt` of the model's example picture, `GET /v1/models/{name}/example`; None if it has none."""
    typical_seconds: float | None = None
    """Median duration of a task with default parameters that does not wait; None if unknown."""
    served: bool | None = None
    """Whether a live worker serves the model now; None if unknown."""
    workers: int | None = None
    """Number of live workers that serve the model; None if unknown."""


class ModelList(Record):
    """All models of the catalog. The first is the default model."""

    models: tuple[ModelSpec, ...]
