"""ModelSpec: a model on offer, as the API describes it."""

from typing import Any

from pydantic import Field

from client.record import Record


class ModelSpec(Record):
    """A model on offer: what it accepts, and what it assumes where a caller is silent."""

    name: str
    title: str
    description: str = ""
    family: str
    samplers: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()
    max_prompt_tokens: int | None = None
    """How many tokens of a prompt the model reads, without begin and end tokens; it ignores the rest."""
    traits: dict[str, Any] = Field(default_factory=dict)
    """Which parameters have an effect: `guidance` and `negative_prompt`. The API refuses those that have none."""
    limits: dict[str, Any] = Field(default_factory=dict)
    defaults: dict[str, Any] = Field(default_factory=dict)
    served: bool | None = None
    """Whether a live worker serves it now; None where nobody can tell."""
    workers: int | None = None
    """How many that are alive serve it; None where nobody can tell."""


class ModelList(Record):
    """Every model on offer; the first is drawn with when a caller names none."""

    models: tuple[ModelSpec, ...]
