"""ModelTraits: which parameters have an effect on a model, and how. Torch-free; the catalog entry states them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, model_validator

NO_GUIDANCE = 1.0
"""The only guidance scale of a model without guidance: the value at which classifier-free guidance is off."""


class Guidance(StrEnum):
    """How a model uses the guidance scale."""

    CLASSIFIER_FREE = "classifier_free"
    """Two passes of the network per step if the scale is above 1."""
    EMBEDDED = "embedded"
    """The network takes the scale as an input: one pass per step."""
    NONE = "none"
    """The scale has no effect."""


class ModelTraits(BaseModel):
    """Which parameters a model obeys, besides its samplers and limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guidance: Guidance = Guidance.CLASSIFIER_FREE
    negative_prompt: bool = True
    """Whether a negative prompt has an effect."""

    @model_validator(mode="after")
    def _negative_prompts_need_guidance(self) -> "ModelTraits":
        if self.negative_prompt and self.guidance is not Guidance.CLASSIFIER_FREE:
            raise ValueError(
                f"negative_prompt must be false where guidance is {self.guidance.value!r}: only classifier-free "
                "guidance uses a negative prompt"
            )
        return self
