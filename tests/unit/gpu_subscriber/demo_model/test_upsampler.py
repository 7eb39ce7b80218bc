"""The decoder's initial weights draw the latents' colours, before any training."""

import itertools
import random

import numpy as np
import pytest
import torch

from gpu_subscriber.demo_model.descriptions import descriptions
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.training.networks import new_autoencoder
from gpu_subscriber.demo_model.training.taught_latents import taught_latents
from gpu_subscriber.demo_model.training.upsampler import begin_as_upsampler

LARGEST_MEAN_ERROR = 0.2
"""For colours from -1 to 1. Random initial weights are off by half of that range and more."""


@pytest.mark.parametrize("number", range(3))
def test_untrained_decoder_places_the_colours(number: int) -> None:
    torch.manual_seed(number)
    autoencoder = new_autoencoder()
    begin_as_upsampler(autoencoder)
    description = next(itertools.islice(descriptions(3, held_out=False), number, None))
    scene = lay_out(description, random.Random(number))

    with torch.no_grad():
        drawn = autoencoder.decode(torch.from_numpy(taught_latents(scene, 128))[None]).sample[0]

    picture = draw(scene, 128).astype(np.float32) / 127.5 - 1
    error = (drawn.permute(1, 2, 0) - torch.from_numpy(picture)).abs().mean()
    assert error < LARGEST_MEAN_ERROR
