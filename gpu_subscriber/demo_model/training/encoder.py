"""Trains the encoder: to see the taught latents in pictures. Drawing from text never runs it."""

import itertools
import random
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gpu_subscriber.demo_model.descriptions import random_description
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.training.fast_layers import quicken
from gpu_subscriber.demo_model.training.networks import LATENT_CHANNELS, Autoencoder
from gpu_subscriber.demo_model.training.stage import (
    AveragedWeights,
    Cores,
    Resumable,
    learning_rate_factor,
    logged_steps,
    pictures_to_tensor,
    seed_everything,
)
from gpu_subscriber.demo_model.training.taught_latents import taught_latents

LEARNING_RATE = 1e-3
LOG_VARIANCE = -6.0
BATCH = 4
SIDE = 256


def train_encoder(
    folder: Path, autoencoder: Autoencoder, *, steps: int, seed: int, device: str
) -> Autoencoder:
    """The autoencoder, its encoder averaged over the last steps; the decoder stays as it is."""
    seed_everything(seed)
    autoencoder.to(device, memory_format=torch.channels_last)
    quicken(autoencoder)
    with torch.no_grad():
        # The encoder is sure of what it sees: its noise is a constant, and training never touches it.
        autoencoder.quant_conv.weight[LATENT_CHANNELS:] = 0.0
        autoencoder.quant_conv.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    parameters = [*autoencoder.encoder.parameters(), *autoencoder.quant_conv.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    averaged = AveragedWeights(autoencoder, decay=0.99)
    optimizer = torch.optim.AdamW(
        parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True
    )
    state = Resumable(folder / "encoder.pt", network=autoencoder, averaged=averaged, optimizer=optimizer)
    cores = Cores(device)
    losses: list[float] = []
    for step in logged_steps("encoder", state.load(), steps, losses):
        pictures, latents = _batch(random.Random(seed * 1_000_003 + step), device)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * learning_rate_factor(step, steps, warmup_steps=50)
        parts = [(pictures[part :: cores.parts], latents[part :: cores.parts]) for part in range(cores.parts)]
        losses.append(cores.backward(partial(_loss, autoencoder), parts, parameters))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        averaged.update(autoencoder)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            state.save(step + 1)
    return averaged.network


def _loss(autoencoder: Autoencoder, part: tuple[Tensor, Tensor]) -> Tensor:
    """`part` is pictures (b, 3, s, s) and their taught latents (b, 4, s / 8, s / 8)."""
    pictures, latents = part
    with torch.autocast(pictures.device.type, torch.bfloat16):
        seen = autoencoder.encode(pictures).latent_dist.mean.float()
    return (seen - latents).square().mean()


def _batch(random_source: random.Random, device: str) -> tuple[Tensor, Tensor]:
    kinds = itertools.islice(itertools.cycle(("pair", "group", "pair", "single")), BATCH)
    scenes = [lay_out(random_description(random_source, kind), random_source) for kind in kinds]
    taught = torch.from_numpy(np.stack([taught_latents(scene, SIDE) for scene in scenes])).to(device)
    return pictures_to_tensor(np.stack([draw(scene, SIDE) for scene in scenes]), device), taught
