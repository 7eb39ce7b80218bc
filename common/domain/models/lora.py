"""LoRAs: small files of weights that a model's entry lists, and that callers choose by name."""

from collections.abc import Iterator, Sequence
from math import isfinite

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from common.domain.errors import FieldProblem
from common.domain.models.model_files import checked_safetensors

MAX_LORAS = 4
"""How many LoRAs one task may use."""
MAX_LORA_SCALE = 10.0
"""No entry allows larger scales, negative or positive."""


class LoraChoice(BaseModel):
    """A LoRA that a task uses, by its name in the model's entry."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=63)
    scale: float = Field(ge=-MAX_LORA_SCALE, le=MAX_LORA_SCALE, allow_inf_nan=False)
    """How strongly it applies: 1 as it was trained, 0 not at all."""


class LoraSpec(BaseModel):
    """A LoRA of a model: its file, and what callers may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    source: str
    """A `.safetensors` file. Processes read it; the API never shows it."""
    title: str = ""
    trigger: str = ""
    """Words of the prompt that the LoRA was trained with."""
    scale: float = 1.0
    """The scale of a request that states none."""
    min_scale: float = Field(default=-2.0, ge=-MAX_LORA_SCALE)
    max_scale: float = Field(default=2.0, le=MAX_LORA_SCALE)

    @field_validator("source")
    @classmethod
    def _is_safetensors(cls, source: str) -> str:
        return checked_safetensors(source)

    @model_validator(mode="after")
    def _scale_is_within_its_bounds(self) -> "LoraSpec":
        if not self.min_scale <= self.scale <= self.max_scale:
            raise ValueError(
                f"`scale` must be between {self.min_scale} and {self.max_scale}, got {self.scale}"
            )
        return self


def chosen_loras(asked: Sequence[object], offered: Sequence[LoraSpec]) -> tuple[LoraChoice, ...]:
    """Complete the caller's choices, `{"name", "scale"}` each, with the scales of the entry."""
    usual = {lora.name: lora.scale for lora in offered}
    return tuple(_completed(choice, usual) for choice in asked)


def lora_problems(chosen: Sequence[LoraChoice], offered: Sequence[LoraSpec]) -> Iterator[FieldProblem]:
    """Yield what is wrong with a task's choices."""
    if not chosen:
        return
    specs = {lora.name: lora for lora in offered}
    if not specs:
        yield FieldProblem("/loras", "has no effect: this model has no LoRAs; leave it out")
        return
    if len(chosen) > MAX_LORAS:
        yield FieldProblem("/loras", f"must have at most {MAX_LORAS} entries, got {len(chosen)}")
        return
    seen: set[str] = set()
    for number, choice in enumerate(chosen):
        spec = specs.get(choice.name)
        if spec is None:
            yield FieldProblem(
                f"/loras/{number}/name", f"must be one of {', '.join(specs)}; got {choice.name!r}"
            )
        elif choice.name in seen:
            yield FieldProblem(f"/loras/{number}/name", f"{choice.name!r} is listed twice; list it once")
        elif not (isfinite(choice.scale) and spec.min_scale <= choice.scale <= spec.max_scale):
            yield FieldProblem(
                f"/loras/{number}/scale",
                f"must be between {spec.min_scale} and {spec.max_scale}, got {choice.scale}",
            )
        seen.add(choice.name)


def _completed(choice: object, usual: dict[str, float]) -> LoraChoice:
    if isinstance(choice, LoraChoice):
        return choice
    fields = dict(choice)  # type: ignore[call-overload]
    if fields.get("scale") is None:
        fields["scale"] = usual.get(fields["name"], 1.0)
    return LoraChoice.model_construct(**fields)
