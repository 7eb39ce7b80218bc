"""The image of diffusers' own StableDiffusionPipeline for the same parameters.

Shares no code with the engine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from common.domain.parameters import GenerationParameters, Sampler

STOCK_SCHEDULERS: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    Sampler.DDIM: (DDIMScheduler, {}),
    Sampler.EULER: (EulerDiscreteScheduler, {}),
    Sampler.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    Sampler.DPMPP_2M: (DPMSolverMultistepScheduler, {}),
    Sampler.DPMPP_2M_KARRAS: (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    Sampler.UNIPC: (UniPCMultistepScheduler, {}),
    Sampler.LCM: (LCMScheduler, {}),
    Sampler.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
}


@dataclass(frozen=True, slots=True)
class StockPicture:
    """`latents` (1, C, h, w) after the last step; `pixels` (H, W, 3) uint8."""

    latents: torch.Tensor
    pixels: np.ndarray


def stock_picture(pipeline: Any, parameters: GenerationParameters, *, index: int = 0) -> StockPicture:
    """Call the stock pipeline once with `torch.Generator("cpu").manual_seed(seed + index)`."""
    own = pipeline.scheduler
    scheduler, overrides = STOCK_SCHEDULERS.get(parameters.sampler, (type(own), {}))
    pipeline.scheduler = scheduler.from_config(own.config, **overrides)
    latents: list[torch.Tensor] = []

    def keep(_pipeline: Any, _step: int, _timestep: Any, shown: dict[str, Any]) -> dict[str, Any]:
        latents.append(shown["latents"])
        return shown

    try:
        image = pipeline(
            parameters.prompt,
            negative_prompt=parameters.negative_prompt,
            width=parameters.width,
            height=parameters.height,
            num_inference_steps=parameters.steps,
            guidance_scale=parameters.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(parameters.seed + index),
            callback_on_step_end=keep,
        ).images[0]
    finally:
        pipeline.scheduler = own
    return StockPicture(latents=latents[-1], pixels=np.asarray(image))
