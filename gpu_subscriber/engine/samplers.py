"""The samplers by name: which diffusers scheduler each one is, made anew from a model's own scheduler config.

A scheduler object holds one step index and one solver history, so every Run gets a fresh one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from common.domain.parameters import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerRecipe:
    """A scheduler class and what its config must say whatever the model's own config says."""

    scheduler: type
    overrides: Mapping[str, Any] = field(default_factory=dict)


RECIPES: Mapping[Sampler, SamplerRecipe] = {
    Sampler.DDIM: SamplerRecipe(scheduler=DDIMScheduler),
    Sampler.EULER: SamplerRecipe(scheduler=EulerDiscreteScheduler),
    Sampler.EULER_ANCESTRAL: SamplerRecipe(scheduler=EulerAncestralDiscreteScheduler),
    Sampler.DPMPP_2M: SamplerRecipe(
        scheduler=DPMSolverMultistepScheduler,
        overrides={"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
    ),
    Sampler.DPMPP_2M_KARRAS: SamplerRecipe(
        scheduler=DPMSolverMultistepScheduler,
        overrides={"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    Sampler.UNIPC: SamplerRecipe(scheduler=UniPCMultistepScheduler),
    Sampler.LCM: SamplerRecipe(scheduler=LCMScheduler),
    # Without `skip_prk_steps` PNDM starts with Runge-Kutta steps that cost four forwards each.
    Sampler.PNDM: SamplerRecipe(scheduler=PNDMScheduler, overrides={"skip_prk_steps": True}),
}


def new_scheduler(sampler: Sampler, model_config: Mapping[str, Any], *, steps: int) -> Any:
    """A fresh scheduler with its timesteps set, on the CPU: equals `Class.from_config(pipe.scheduler.config, …)`.

    LCM draws its steps out of `original_inference_steps` (50) and refuses more; longer runs raise that number.
    """
    recipe = RECIPES[sampler]
    overrides = dict(recipe.overrides)
    if sampler is Sampler.LCM:
        overrides["original_inference_steps"] = max(50, steps)
    scheduler: Any = recipe.scheduler
    made = scheduler.from_config(model_config, **overrides)
    made.set_timesteps(steps, device="cpu")
    return made
