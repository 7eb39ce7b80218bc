"""The model catalog, and the catalog that the packages contain."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.domain.errors import UnknownModelError
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.model_files import ModelExample
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Input, ModelTraits, PromptSyntax


class ModelCatalog(BaseModel):
    """The models of the catalog. The first one is the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "ModelCatalog":
        if len({spec.name for spec in self.models}) != len(self.models):
            raise ValueError("two models share one name")
        return self

    @property
    def default(self) -> ModelSpec:
        """The default model."""
        return self.models[0]

    def get(self, name: str) -> ModelSpec:
        """Return the model of this name; raises UnknownModelError."""
        for spec in self.models:
            if spec.name == name:
                return spec
        raise UnknownModelError(name, offered=tuple(spec.name for spec in self.models))


DEMO_MODEL = ModelSpec(
    name="demo",
    title="Shapes (demo)",
    description="A small latent diffusion model that draws coloured shapes: 'a large red circle above a small "
    "blue square on a white background'.",
    family="stable_diffusion",
    source="embedded:demo",
    max_prompt_tokens=30,
    example=ModelExample(
        file="embedded:demo", prompt="a large red circle above a small blue square on a white background"
    ),
    traits=ModelTraits(
        inputs=(Input.TEXT, Input.IMAGE, Input.MASK),
        prompt_syntaxes=tuple(PromptSyntax),
        max_clip_skip=3,
        guidance_rescale=True,
        eta=True,
    ),
    limits=ModelLimits(max_side=512, side_multiple=64),
    defaults=ModelDefaults(steps=20, guidance_scale=2.5, width=256, height=256),
)
EMBEDDED_CATALOG = ModelCatalog(models=(DEMO_MODEL,))
"""The catalog if the operator configures none."""
