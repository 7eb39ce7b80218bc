"""Complete a catalog entry with what its pipeline obeys, and with the usual values of such models. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from common.domain.models.limits import ModelLimits
from common.domain.models.pipeline_traits import PipelineTraits
from common.domain.models.traits import Guidance

_SMALLEST_MAX_SIDE = 1_024
_OF_GUIDANCE = ("guidance", "negative_prompt", "guidance_off_at", "guidance_rescale")
"""The traits that depend on the kind of guidance."""


def completed_entry(entry: Mapping[str, Any], found: PipelineTraits) -> dict[str, Any]:
    """Return the entry with the fields that it omits.

    Invalid values stay as they are, for the catalog's validation.
    """
    completed = {"samplers": [sampler.value for sampler in found.samplers], **entry}
    traits, limits, defaults = (entry.get(name, {}) for name in ("traits", "limits", "defaults"))
    if not (isinstance(traits, Mapping) and isinstance(limits, Mapping) and isinstance(defaults, Mapping)):
        return completed
    traits, limits = _traits(traits, found), {**_limits(found), **limits}
    defaults = {**_defaults(entry, traits, limits, found), **defaults}
    return {**completed, "traits": traits, "limits": limits, "defaults": defaults}


def _traits(stated: Mapping[str, Any], found: PipelineTraits) -> dict[str, Any]:
    traits = found.traits.model_dump(mode="json")
    if stated.get("guidance", found.traits.guidance) != found.traits.guidance:
        traits = {name: value for name, value in traits.items() if name not in _OF_GUIDANCE}
    return {**traits, **stated}


def _limits(found: PipelineTraits) -> dict[str, Any]:
    limits = {"side_multiple": found.side_multiple, "min_steps": found.min_steps}
    if found.side is not None:
        limits["max_side"] = max(_SMALLEST_MAX_SIDE, found.side * 3 // 2)
    return limits


def _defaults(
    entry: Mapping[str, Any], traits: Mapping[str, Any], stated: Mapping[str, Any], found: PipelineTraits
) -> dict[str, Any]:
    """Return the usual values, within the limits."""
    guidance = traits.get("guidance", found.traits.guidance)
    usual = found.usual.get(guidance)
    try:
        limits = ModelLimits.model_validate(stated)
    except ValidationError:
        return {}
    if usual is None or found.side is None:
        return {}
    side = _within(found.side, limits.min_side, limits.max_side)
    defaults = {
        "steps": _within(usual.steps, limits.min_steps, limits.max_steps),
        # The bounds may be no multiples.
        **dict.fromkeys(("width", "height"), side // limits.side_multiple * limits.side_multiple),
    }
    if guidance != Guidance.NONE:
        low, high = limits.min_guidance_scale, limits.max_guidance_scale
        defaults["guidance_scale"] = _within(usual.guidance_scale, low, high)
    return defaults if "samplers" in entry else {**defaults, "sampler": usual.sampler.value}


def _within(value: Any, low: Any, high: Any) -> Any:
    return max(min(value, high), low)
