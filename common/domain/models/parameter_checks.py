"""Checks of single parameters against what a model accepts. Each returns None for an accepted value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.domain.errors import FieldProblem
from common.domain.models.traits import Input, ModelTraits
from common.domain.parameters import (
    DEFAULT_CONTROL_SCALE,
    DEFAULT_REFERENCE_SCALE,
    MAX_CONTROL_SCALE,
    MAX_QUALITY,
    MAX_REFERENCE_SCALE,
    GenerationParameters,
    OutputFormat,
    Sampler,
)

NO_EFFECT = "has no effect on this model; leave it out"
_PICTURE_OF = {
    Input.IMAGE: "image",
    Input.MASK: "mask_image",
    Input.CONTROL: "control_image",
    Input.REFERENCE: "reference_image",
}
_MAX_PRINTED = 10**30
"""Larger numbers are not printed in messages; JSON allows thousands of digits."""


def outside(
    pointer: str, got: float, low: float, high: float, *, unit: str = "", hint: str = ""
) -> FieldProblem | None:
    """Check a number against its bounds, both included."""
    if low <= got <= high:
        return None
    is_endless = isinstance(got, int) and abs(got) >= _MAX_PRINTED
    value = "a number of too many digits" if is_endless else str(got)
    return FieldProblem(pointer, f"must be between {low} and {high}{unit}, got {value}{hint}")


def not_offered(pointer: str, got: str, offered: tuple[str, ...]) -> FieldProblem | None:
    """Check a choice against the offered ones."""
    if got in offered:
        return None
    return FieldProblem(pointer, f"must be one of {', '.join(offered)}; got {str(got)!r}")


def option_problems(traits: ModelTraits, asked: GenerationParameters) -> Iterator[FieldProblem | None]:
    """Check the parameters that only some models obey, and not with all values of the others."""
    yield not_offered("/prompt_syntax", asked.prompt_syntax, traits.prompt_syntaxes)
    if asked.clip_skip and not traits.max_clip_skip:
        yield FieldProblem("/clip_skip", NO_EFFECT)
    else:
        yield outside("/clip_skip", asked.clip_skip, 0, traits.max_clip_skip, unit=" layers")
    if asked.guidance_rescale and not traits.guidance_rescale:
        yield FieldProblem("/guidance_rescale", NO_EFFECT)
    elif asked.guidance_rescale and not asked.is_guided:
        detail = f"has an effect only if `guidance_scale` is above {asked.guidance_off_at:g}; leave it out"
        yield FieldProblem("/guidance_rescale", detail)
    else:
        yield outside("/guidance_rescale", asked.guidance_rescale, 0, 1)
    if asked.eta and not traits.eta:
        yield FieldProblem("/eta", NO_EFFECT)
    elif asked.eta and asked.sampler is not Sampler.DDIM:
        yield FieldProblem("/eta", "has an effect only with the sampler ddim; leave it out")
    else:
        yield outside("/eta", asked.eta, 0, 1)


def picture_problem(
    pointer: str, picture: str | None, kind: Input, *, inputs: Sequence[Input], required: Sequence[Input]
) -> FieldProblem | None:
    """Check that the model takes this picture, and that a required one is given."""
    if picture is None:
        if kind not in required:
            return None
        needed = " and ".join(f"`{_PICTURE_OF[each]}`" for each in required)
        return FieldProblem(
            pointer, f"is required: this model needs {needed}; upload it, or choose another model"
        )
    if kind in inputs:
        return None
    return FieldProblem(
        pointer, f"is not an input of this model, which takes {', '.join(inputs)}; leave it out"
    )


def problem_without_image(pointer: str, given: object, image: str | None) -> FieldProblem | None:
    """Check that a field which belongs to a picture comes with one."""
    if given is None or image is not None:
        return None
    return FieldProblem(pointer, "needs `image`, the picture to start from; add it, or leave this out")


def strength_problem(traits: ModelTraits, asked: GenerationParameters) -> FieldProblem | None:
    """Check that the strength has an effect, and leaves at least one step."""
    strength = asked.strength
    if strength is None:
        return None
    if not traits.strength:
        return FieldProblem("/strength", NO_EFFECT)
    if not 0.0 < strength <= 1.0:
        return FieldProblem("/strength", f"must be above 0 and at most 1, got {strength}")
    if asked.steps > 0 and asked.computed_steps == 0:
        return FieldProblem(
            "/strength",
            f"leaves none of the {asked.steps} steps, got {strength}; it must be at least 1 / `steps`",
        )
    return None


def quality_problem(quality: int | None, output_format: OutputFormat) -> FieldProblem | None:
    """Check that the format of the files has a quality, and its bounds."""
    if quality is None:
        return None
    if not OutputFormat(output_format).takes_quality:
        lossy = ", ".join(each for each in OutputFormat if each.takes_quality)
        return FieldProblem(
            "/output_quality", f"has no effect on {output_format} files; leave it out, or choose {lossy}"
        )
    return outside("/output_quality", quality, 1, MAX_QUALITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The parameters of a picture that steers an image through weights of its own, which have a name."""

    picture: str
    weights: str
    scale: str
    usual_scale: float
    max_scale: float

    def completed(self, values: Mapping[str, Any], offered: Sequence[str]) -> dict[str, Any]:
        """Return the omitted parameters: the only weights on offer, and the usual scale."""
        if values.get(self.picture) is None:
            return {}
        usual: dict[str, Any] = {self.scale: self.usual_scale}
        if len(offered) == 1:
            usual[self.weights] = offered[0]
        return {name: value for name, value in usual.items() if values.get(name) is None}

    def problems(self, offered: Sequence[str], asked: GenerationParameters) -> Iterator[FieldProblem | None]:
        """Check the chosen weights and their scale; the choice may be omitted if there is only one."""
        chosen, scale = getattr(asked, self.weights), getattr(asked, self.scale)
        if getattr(asked, self.picture) is None:
            for name, given in ((self.weights, chosen), (self.scale, scale)):
                if given is not None:
                    yield FieldProblem(f"/{name}", f"needs `{self.picture}`; add it, or leave this out")
        elif offered and chosen is None:
            yield FieldProblem(f"/{self.weights}", f"must be one of {', '.join(offered)}")
        elif offered:
            yield not_offered(f"/{self.weights}", str(chosen), tuple(offered))
            yield outside(f"/{self.scale}", self.usual_scale if scale is None else scale, 0, self.max_scale)


CONTROL = Steering(
    picture="control_image",
    weights="controlnet",
    scale="control_scale",
    usual_scale=DEFAULT_CONTROL_SCALE,
    max_scale=MAX_CONTROL_SCALE,
)
REFERENCE = Steering(
    picture="reference_image",
    weights="ip_adapter",
    scale="reference_scale",
    usual_scale=DEFAULT_REFERENCE_SCALE,
    max_scale=MAX_REFERENCE_SCALE,
)
