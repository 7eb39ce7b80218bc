"""A model of the catalog: its files, what it accepts, and its defaults."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from pydantic import Field, model_validator

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.models.families import (
    WHOLE_PIPELINE,
    control_network_class,
    has_own_sizes,
    shares_steps,
    takes_ip_adapters,
)
from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.lora import LoraSpec, chosen_loras, lora_problems
from common.domain.models.model_files import ModelExample, ModelFiles
from common.domain.models.parameter_checks import (
    CONTROL,
    NO_EFFECT,
    REFERENCE,
    Steering,
    not_offered,
    option_problems,
    outside,
    picture_problem,
    problem_without_image,
    quality_problem,
    strength_problem,
)
from common.domain.models.traits import NO_GUIDANCE, Adapter, Guidance, Input, ModelTraits
from common.domain.parameters import (
    DEFAULT_STRENGTH,
    MAX_SEED,
    GenerationParameters,
    OutputFormat,
    Sampler,
)

ANY_PICTURE = "0" * 64
"""The id of a picture whose content does not matter."""


class ModelSpec(ModelFiles):
    """A model with its files, limits and defaults."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    title: str
    description: str = ""
    family: str
    samplers: tuple[Sampler, ...] = Field(default=DIFFUSION_SAMPLERS, min_length=1)
    traits: ModelTraits = ModelTraits()
    output_formats: tuple[OutputFormat, ...] = tuple(OutputFormat)
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Number of prompt tokens that the model reads, without begin and end tokens; None if unknown."""
    tokenizer: str | None = None
    """The folder of the tokenizer for the API; by default `tokenizer` in the model's folder, if it is readable."""
    example: ModelExample | None = None
    loras: tuple[LoraSpec, ...] = ()
    """The LoRAs that a task can choose."""
    limits: ModelLimits = ModelLimits()
    defaults: ModelDefaults = ModelDefaults()

    @model_validator(mode="before")
    @classmethod
    def _defaults_name_nothing_ignored(cls, entry: Any) -> Any:
        """Default an omitted sampler to the first one, and guidance to none where it has no effect."""
        if not isinstance(entry, Mapping):
            return entry
        traits, samplers, stated = entry.get("traits"), entry.get("samplers"), entry.get("defaults", {})
        if isinstance(stated, ModelDefaults) or not isinstance(stated, Mapping):
            return entry
        filled: dict[str, Any] = {}
        if isinstance(samplers, list | tuple) and samplers and Sampler.DDIM not in samplers:
            filled["sampler"] = samplers[0]
        guidance = (
            traits.get("guidance") if isinstance(traits, Mapping) else getattr(traits, "guidance", None)
        )
        if guidance == Guidance.NONE:
            filled["guidance_scale"] = NO_GUIDANCE
        return {**entry, "defaults": {**filled, **stated}}

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What an image can be generated from."""
        steering = ((Input.CONTROL, self.controlnets), (Input.REFERENCE, self.ip_adapters))
        return (*self.traits.inputs, *(kind for kind, weights in steering if weights))

    @model_validator(mode="after")
    def _control_networks_are_supported(self) -> "ModelSpec":
        if self.controlnets and control_network_class(self.family) is None:
            raise ValueError(f"controlnets: the family {self.family!r} takes no control networks")
        return self

    @model_validator(mode="after")
    def _ip_adapters_are_supported(self) -> "ModelSpec":
        if self.ip_adapters and not takes_ip_adapters(self.family):
            raise ValueError(f"ip_adapters: the family {self.family!r} takes no IP-Adapters")
        return self

    @model_validator(mode="after")
    def _names_of_weights_are_unique(self) -> "ModelSpec":
        for field, weights in (("controlnets", self.controlnets), ("ip_adapters", self.ip_adapters)):
            if len({each.name for each in weights}) != len(weights):
                raise ValueError(f"{field}: two of them share one name")
        return self

    @model_validator(mode="after")
    def _defaults_keep_the_limits(self) -> "ModelSpec":
        assumed = self.defaulted(prompt="x", seed=0)
        if problems := self.problems_of(assumed):
            raise ValueError(f"defaults of model {self.name!r}: {problems[0].pointer} {problems[0].detail}")
        return self

    @model_validator(mode="after")
    def _quantization_can_be_applied(self) -> "ModelSpec":
        if self.quantization == "none":
            return self
        if not shares_steps(self.family):
            raise ValueError(
                f"`quantization`: the family {WHOLE_PIPELINE!r} applies none; remove it from model {self.name!r}"
            )
        if self.loras:
            raise ValueError(
                f"`quantization`: not together with `loras`; remove one from model {self.name!r}"
            )
        return self

    @model_validator(mode="after")
    def _loras_can_be_chosen(self) -> "ModelSpec":
        if self.loras and not shares_steps(self.family):
            raise ValueError(
                f"`loras`: the family {WHOLE_PIPELINE!r} applies none; remove them from model {self.name!r}"
            )
        if len({lora.name for lora in self.loras}) != len(self.loras):
            raise ValueError(f"two LoRAs of model {self.name!r} share one name")
        return self

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The kinds of additional weights that a task can choose."""
        kinds = ((Adapter.LORA, self.loras), (Adapter.IP_ADAPTER, self.ip_adapters))
        return tuple(kind for kind, weights in kinds if weights)

    def completed(self, asked: Mapping[str, Any], *, seed: int) -> GenerationParameters:
        """Complete the caller's fields with the defaults and check them against the limits.

        `asked` holds typed values by field name, `None` for omitted ones; `seed` is used if the
        caller gave none. Raises ParametersRejectedError, which names all refused fields.
        """
        given = {name: value for name, value in asked.items() if value is not None}
        values = {"seed": seed, **self.defaults.model_dump(), **given, **self._own}
        if not self.traits.negative_prompt:
            values["negative_prompt"] = values["negative_prompt"] or None
        for steering, names in self._steering:
            values |= steering.completed(values, names)
        if values.get("image") is not None and self.traits.strength:
            values.setdefault("strength", DEFAULT_STRENGTH)
        values["loras"] = chosen_loras(values.get("loras", ()), self.loras)
        parameters = GenerationParameters.model_construct(**values)
        if "guidance_rescale" not in given and not parameters.is_guided:
            values["guidance_rescale"] = 0.0  # the default belongs to guided tasks
            parameters = GenerationParameters.model_construct(**values)
        if problems := self.problems_of(parameters):
            count = f"{len(problems)} field{'s are' if len(problems) > 1 else ' is'}"
            raise ParametersRejectedError(f"{count} outside what model {self.name!r} accepts", problems)
        return GenerationParameters.model_validate(values)

    def defaulted(self, *, prompt: str, seed: int) -> GenerationParameters:
        """Return the parameters of a submission that has only a prompt, and the pictures that the model requires."""
        pictures: dict[str, Any] = {
            name: ANY_PICTURE
            for name, kind in (("image", Input.IMAGE), ("mask_image", Input.MASK))
            if kind in self.traits.required_inputs
        }
        if pictures and self.traits.strength:
            pictures["strength"] = DEFAULT_STRENGTH
        return GenerationParameters(
            prompt=prompt, seed=seed, **self.defaults.model_dump(), **pictures, **self._own
        )

    def work_units_of(self, parameters: GenerationParameters) -> float:
        """Return the amount of computation of a task.

        A model with its own sizes needs the same for each requested size; that of the default one counts.
        """
        size = {"width": self.defaults.width, "height": self.defaults.height}
        counted = parameters.model_copy(update=size) if has_own_sizes(self.family) else parameters
        return counted.work_units

    @property
    def _steering(self) -> tuple[tuple[Steering, tuple[str, ...]], ...]:
        """The names that a task can choose from, with the parameters for it."""
        return (
            (CONTROL, tuple(network.name for network in self.controlnets)),
            (REFERENCE, tuple(adapter.name for adapter in self.ip_adapters)),
        )

    @property
    def _own(self) -> dict[str, Any]:
        """The fields that no caller chooses."""
        traits = self.traits
        return {
            "model": self.name,
            "guidance": traits.guidance,
            "guidance_off_at": traits.guidance_off_at,
        }

    def problems_of(self, asked: GenerationParameters) -> tuple[FieldProblem, ...]:
        """Return all fields of `asked` that this model does not accept."""
        limits = self.limits
        found = [
            outside("/prompt", len(asked.prompt), 1, limits.max_prompt_characters, unit=" characters"),
            outside(
                "/negative_prompt",
                len(asked.negative_prompt or ""),
                0,
                limits.max_prompt_characters,
                unit=" characters",
            ),
            self._negative_prompt_problem(asked.negative_prompt),
            outside("/steps", asked.steps, limits.min_steps, limits.max_steps),
            self._guidance_problem(asked.guidance_scale),
            outside("/seed", asked.seed, 0, MAX_SEED, hint="; leave it out for a random seed"),
            outside("/num_images", asked.num_images, 1, limits.max_images),
            self._side_problem("/width", asked.width),
            self._side_problem("/height", asked.height),
            not_offered("/sampler", asked.sampler, self.samplers),
            not_offered("/output_format", asked.output_format, self.output_formats),
            quality_problem(asked.output_quality, asked.output_format),
            *option_problems(self.traits, asked),
            *lora_problems(asked.loras, self.loras),
            self._picture_problem("/image", asked.image, Input.IMAGE),
            self._picture_problem("/mask_image", asked.mask_image, Input.MASK)
            or problem_without_image("/mask_image", asked.mask_image, asked.image),
            problem_without_image("/strength", asked.strength, asked.image)
            or strength_problem(self.traits, asked),
            self._picture_problem("/control_image", asked.control_image, Input.CONTROL),
            self._picture_problem("/reference_image", asked.reference_image, Input.REFERENCE),
            *chain.from_iterable(steering.problems(names, asked) for steering, names in self._steering),
        ]
        return tuple(problem for problem in found if problem is not None)

    def _negative_prompt_problem(self, negative_prompt: str | None) -> FieldProblem | None:
        if self.traits.negative_prompt or not negative_prompt:
            return None
        return FieldProblem("/negative_prompt", NO_EFFECT)

    def _guidance_problem(self, scale: float) -> FieldProblem | None:
        if self.traits.guidance is not Guidance.NONE:
            low, high = self.limits.min_guidance_scale, self.limits.max_guidance_scale
            return outside("/guidance_scale", scale, low, high)
        if scale == NO_GUIDANCE:
            return None
        return FieldProblem("/guidance_scale", NO_EFFECT)

    def _picture_problem(self, pointer: str, picture: str | None, kind: Input) -> FieldProblem | None:
        required = self.traits.required_inputs
        return picture_problem(pointer, picture, kind, inputs=self.inputs, required=required)

    def _side_problem(self, pointer: str, side: int) -> FieldProblem | None:
        limits = self.limits
        if problem := outside(pointer, side, limits.min_side, limits.max_side, unit=" pixels"):
            return problem
        if side % limits.side_multiple:
            return FieldProblem(pointer, f"must be a multiple of {limits.side_multiple}, got {side}")
        return None
