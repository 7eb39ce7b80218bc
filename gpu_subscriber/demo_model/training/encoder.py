"""Training of the encoder, which maps images to the taught latents. Text-to-image never uses it."""

import itertools
import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gpu_subscriber.demo_model.descriptions import random_description
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.training.autoencoder_half import PicturesAndLatents, train_half
from gpu_subscriber.demo_model.training.networks import LATENT_CHANNELS, Autoencoder
from gpu_subscriber.demo_model.training.stage import pictures_to_tensor
from gpu_subscriber.demo_model.training.taught_latents import taught_latents

LEARNING_RATE = 1e-3
LOG_VARIANCE = -6.0
BATCH = 4
SIDE = 256


def train_encoder(
    folder: Path, autoencoder: Autoencoder, *, steps: int, seed: int, device: str
) -> Autoencoder:
    """Return the autoencoder with its encoder averaged over the last steps."""
    with torch.no_grad():
        # The encoder's variance is constant, and training does not change it.
        autoencoder.quant_conv.weight[LATENT_CHANNELS:] = 0.0
        autoencoder.quant_conv.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    parameters = [*autoencoder.encoder.parameters(), *autoencoder.quant_conv.parameters()]
    return train_half(
        "encoder",
        autoencoder,
        dict.fromkeys(parameters, LEARNING_RATE),
        batch_of=lambda _, random_source: _batch(random_source, device),
        loss_of=_loss,
        decay=0.99,
        folder=folder,
        steps=steps,
        seed=seed,
        device=device,
    )


def _loss(autoencoder: Autoencoder, part: PicturesAndLatents) -> Tensor:
    pictures, latents = part
    with torch.autocast(pictures.device.type, torch.bfloat16):
        seen = autoencoder.encode(pictures).latent_dist.mean.float()
    return (seen - latents).square().mean()


def _batch(random_source: random.Random, device: str) -> PicturesAndLatents:
    kinds = itertools.islice(itertools.cycle(("pair", "group", "pair", "single")), BATCH)
    scenes = [lay_out(random_description(random_source, kind), random_source) for kind in kinds]
    taught = torch.from_numpy(np.stack([taught_latents(scene, SIDE) for scene in scenes])).to(device)
    return pictures_to_tensor(np.stack([draw(scene, SIDE) for scene in scenes]), device), taught
