"""ModelTraits: which parameters have an effect on a model, and how. Torch-free; the catalog entry states them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

NO_GUIDANCE = 1.0
"""The only guidance scale of a model without guidance: the value at which classifier-free guidance is off."""
OFF_AT_ONE = 1.0
"""The largest scale without classifier-free guidance, in nearly all pipelines."""


class Guidance(StrEnum):
    """How a model uses the guidance scale."""

    CLASSIFIER_FREE = "classifier_free"
    """Two passes of the network per step if the scale is above `guidance_off_at`."""
    EMBEDDED = "embedded"
    """The network takes the scale as an input: one pass per step."""
    NONE = "none"
    """The scale has no effect."""


class Input(StrEnum):
    """What a task's image can be generated from."""

    TEXT = "text"
    """The prompt; every model takes one."""
    IMAGE = "image"
    """A picture to start from."""
    MASK = "mask"
    """The parts of the picture to generate again."""
    CONTROL = "control"
    """A control image, for a model with control networks."""
    REFERENCE = "reference"
    """A reference picture, for a model with IP-Adapters."""


TEXT_ONLY = (Input.TEXT,)


class PromptSyntax(StrEnum):
    """How the model reads the text of a prompt."""

    PLAIN = "plain"
    """Literally, up to the encoder's limit."""
    WEIGHTED = "weighted"
    """With weights such as `(word:1.3)`, and in several parts if the text is longer than the limit."""


class Adapter(StrEnum):
    """A kind of additional weights that a task can choose."""

    LORA = "lora"
    IP_ADAPTER = "ip_adapter"


class ModelTraits(BaseModel):
    """Which parameters a model obeys, besides its samplers and limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guidance: Guidance = Guidance.CLASSIFIER_FREE
    negative_prompt: bool = True
    """Whether a negative prompt has an effect."""
    guidance_off_at: float = Field(
        default=OFF_AT_ONE, ge=0.0, le=OFF_AT_ONE, exclude_if=lambda scale: scale == OFF_AT_ONE
    )
    """The largest scale at which classifier-free guidance is off. Larger ones lead away from the negative prompt."""
    inputs: tuple[Input, ...] = Field(default=TEXT_ONLY, exclude_if=lambda inputs: inputs == TEXT_ONLY)
    """What an image can be generated from."""
    required_inputs: tuple[Input, ...] = Field(default=(), exclude_if=lambda inputs: not inputs)
    """The inputs besides the text that every task needs."""
    strength: bool = Field(default=True, exclude_if=lambda has_effect: has_effect)
    """Whether `strength` has an effect. Models that edit a picture read it in each step, and start from noise."""
    prompt_syntaxes: tuple[PromptSyntax, ...] = Field(
        default=(PromptSyntax.PLAIN,), exclude_if=lambda syntaxes: syntaxes == (PromptSyntax.PLAIN,)
    )
    """How the model can read a prompt."""
    max_clip_skip: int = Field(default=0, ge=0, exclude_if=lambda layers: layers == 0)
    """How many of the text encoder's last layers a task can skip; 0: `clip_skip` has no effect."""
    guidance_rescale: bool = Field(default=False, exclude_if=lambda has_effect: not has_effect)
    """Whether `guidance_rescale` has an effect."""
    eta: bool = Field(default=False, exclude_if=lambda has_effect: not has_effect)
    """Whether `eta` has an effect with the sampler `ddim`."""

    def exceeds(self, other: "ModelTraits") -> bool:
        """Return whether these traits offer an optional parameter or value that the others do not."""
        return (
            not set(self.inputs) <= set(other.inputs)
            or set(self.required_inputs) != set(other.required_inputs)
            or (Input.IMAGE in self.inputs and self.strength != other.strength)
            or not set(self.prompt_syntaxes) <= set(other.prompt_syntaxes)
            or self.max_clip_skip > other.max_clip_skip
            or (self.guidance_rescale and not other.guidance_rescale)
            or (self.eta and not other.eta)
        )

    @model_validator(mode="after")
    def _masks_need_an_image(self) -> "ModelTraits":
        if Input.TEXT not in self.inputs:
            raise ValueError('inputs must contain "text": every model takes a prompt')
        if Input.MASK in self.inputs and Input.IMAGE not in self.inputs:
            raise ValueError('inputs must contain "image" if they contain "mask"')
        if missing := sorted(set(self.required_inputs) - set(self.inputs)):
            raise ValueError(f"inputs must contain what required_inputs names: {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _negative_prompts_need_guidance(self) -> "ModelTraits":
        if self.negative_prompt and self.guidance is not Guidance.CLASSIFIER_FREE:
            raise ValueError(
                f"negative_prompt must be false where guidance is {self.guidance.value!r}: only classifier-free "
                "guidance uses a negative prompt"
            )
        return self
