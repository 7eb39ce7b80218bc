"""A few images in a few steps, to compare before and after a choice that changes numbers."""

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.guided import GuidedFamily

PROMPT = "a large red circle above a small blue square on a white background"
"""A prompt that every model draws: images of an unknown prompt are half noise, and differ more."""
STEPS = 8
IMAGES = 2


@torch.inference_mode()
def trial_images(family: GuidedFamily, parameters: GenerationParameters) -> torch.Tensor:
    """Return (N, H, W, 3) uint8 images of the size and sampler of these parameters, on the CPU."""
    short = parameters.model_copy(update={"steps": min(parameters.steps, STEPS), "prompt": PROMPT})
    states = [family.prepare(short, seed=seed) for seed in range(IMAGES)]
    while not states[0].is_done:
        for state, prediction in zip(states, family.predict(states), strict=True):
            state.advance(prediction)
    return torch.stack([family.decode(state).pixels for state in states]).cpu()
