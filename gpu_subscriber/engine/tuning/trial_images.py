"""A few images in a few steps, to compare before and after a choice that changes numbers."""

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import Picture
from gpu_subscriber.engine.runs.run import Denoising

PROMPT = "a large red circle above a small blue square on a white background"
"""A prompt that every model draws: images of an unknown prompt are half noise, and differ more."""
STEPS = 8
IMAGES = 2
_GREY = 128
"""A mask of this value counts as white."""


def prepared(family: GuidedFamily, parameters: GenerationParameters, *, seed: int = 0) -> Denoising:
    """Return a Run of these parameters, with a grey picture for each one that they name."""
    pixels = parameters.width * parameters.height
    size = {"width": parameters.width, "height": parameters.height}
    inputs = {
        name: Picture(**size, pixels=bytes([_GREY]) * pixels * (1 if name == "mask_image" else 3))
        for name in parameters.inputs
    }
    return family.prepare(parameters, seed=seed, inputs=inputs)


@torch.inference_mode()
def trial_images(family: GuidedFamily, parameters: GenerationParameters) -> torch.Tensor:
    """Return (N, H, W, 3) uint8 images of the size and sampler of these parameters, on the CPU."""
    short = parameters.model_copy(update={"steps": min(parameters.steps, STEPS), "prompt": PROMPT})
    states = [prepared(family, short, seed=seed) for seed in range(IMAGES)]
    while not states[0].is_done:
        for state, prediction in zip(states, family.predict(states), strict=True):
            state.advance(prediction)
    return torch.stack([family.decode(state).pixels for state in states]).cpu()
