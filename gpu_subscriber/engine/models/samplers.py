"""The samplers by name: each one's diffusers scheduler, with the model's own scheduler config.

A scheduler object holds one step index and one solver history, so every Run gets a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from common.domain.models.pipeline_traits import FLOW_SCHEDULER, buildable_samplers
from common.domain.parameters import Sampler
from gpu_subscriber.engine.errors import EngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerRecipe:
    """A scheduler class, and settings that override the model's own config."""

    scheduler: type
    overrides: Mapping[str, Any] = field(default_factory=dict)


# `own` has no recipe: its class is the model's.
RECIPES: Mapping[Sampler, SamplerRecipe] = {
    Sampler.DDIM: SamplerRecipe(scheduler=DDIMScheduler),
    Sampler.EULER: SamplerRecipe(scheduler=EulerDiscreteScheduler),
    Sampler.EULER_ANCESTRAL: SamplerRecipe(scheduler=EulerAncestralDiscreteScheduler),
    Sampler.DPMPP_2M: SamplerRecipe(
        scheduler=DPMSolverMultistepScheduler,
        overrides={"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
    ),
    # A scheduler accepts one kind of sigmas and raises at its first step when two are set.
    Sampler.DPMPP_2M_KARRAS: SamplerRecipe(
        scheduler=DPMSolverMultistepScheduler,
        overrides={
            "algorithm_type": "dpmsolver++",
            "solver_order": 2,
            "use_karras_sigmas": True,
            "use_exponential_sigmas": False,
            "use_beta_sigmas": False,
        },
    ),
    Sampler.UNIPC: SamplerRecipe(scheduler=UniPCMultistepScheduler),
    Sampler.LCM: SamplerRecipe(scheduler=LCMScheduler),
    # Without `skip_prk_steps` PNDM starts with Runge-Kutta steps that cost four forwards each.
    Sampler.PNDM: SamplerRecipe(scheduler=PNDMScheduler, overrides={"skip_prk_steps": True}),
    Sampler.FLOW_EULER: SamplerRecipe(scheduler=FlowMatchEulerDiscreteScheduler),
}
_FLOW_OVERRIDES = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
"""Settings with which a scheduler of betas integrates the flow of a FlowMatchEulerDiscreteScheduler."""


LCM_ORIGINAL_STEPS = 50
"""LCM chooses its steps from this many, unless the checkpoint's config has another number."""


def scheduler_config(scheduler: Any) -> dict[str, Any]:
    """A scheduler's configuration, and its class as `_class_name`."""
    return {**scheduler.config, "_class_name": type(scheduler).__name__}


def make_scheduler(sampler: Sampler, own: Any, *, steps: int) -> Any:
    """Return a new scheduler without timesteps, configured like the model's `own` scheduler.

    LCM refuses more steps than `original_inference_steps`; longer runs raise that number. Raises
    EngineError for a sampler that the model does not obey: a task may have been accepted before its
    catalog entry was corrected.
    """
    if sampler not in buildable_samplers(scheduler_config(own)):
        raise EngineError(f"the model does not support the sampler {sampler.value!r}")
    recipe = RECIPES.get(sampler) or SamplerRecipe(scheduler=type(own))
    scheduler: Any = recipe.scheduler
    overrides = dict(recipe.overrides)
    if issubclass(scheduler, LCMScheduler):
        original = own.config.get("original_inference_steps") or LCM_ORIGINAL_STEPS
        overrides["original_inference_steps"] = max(original, steps)
    if sampler is not Sampler.OWN:
        overrides |= _flow_overrides(scheduler, own)
    return scheduler.from_config(own.config, **overrides)


def _flow_overrides(scheduler: type, own: Any) -> dict[str, Any]:
    """Translate between the two kinds of schedulers that integrate a flow."""
    is_flow_match = issubclass(scheduler, FlowMatchEulerDiscreteScheduler)
    if type(own).__name__ == FLOW_SCHEDULER:
        return {} if is_flow_match else {**_FLOW_OVERRIDES, "flow_shift": own.config.shift}
    return {"shift": own.config.get("flow_shift", 1.0)} if is_flow_match else {}


def new_scheduler(sampler: Sampler, own: Any, *, steps: int) -> Any:
    """Return a new scheduler with its timesteps set, on the CPU."""
    made = make_scheduler(sampler, own, steps=steps)
    made.set_timesteps(steps, device="cpu")
    return made
