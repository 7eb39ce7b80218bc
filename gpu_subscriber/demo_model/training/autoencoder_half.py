"""Training of one half of the autoencoder, encoder or decoder; the other half is frozen."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gpu_subscriber.demo_model.training.fast_layers import quicken
from gpu_subscriber.demo_model.training.networks import Autoencoder
from gpu_subscriber.demo_model.training.stage import (
    AveragedWeights,
    Cores,
    Resumable,
    learning_rate_factor,
    logged_steps,
    seed_everything,
)

PicturesAndLatents = tuple[Tensor, Tensor]
"""Images (b, 3, s, s) in [-1, 1] and their latents (b, 4, s / 8, s / 8)."""


def train_half(
    half: str,
    autoencoder: Autoencoder,
    rates: dict[nn.Parameter, float],
    *,
    batch_of: Callable[[int, random.Random], PicturesAndLatents],
    loss_of: Callable[[Autoencoder, PicturesAndLatents], Tensor],
    decay: float,
    folder: Path,
    steps: int,
    seed: int,
    device: str,
) -> Autoencoder:
    """Train the parameters that have a learning rate in `rates`.

    Returns their moving average with `decay`. `batch_of` returns the batch of a step; `loss_of`
    returns the loss of a part of it.
    """
    seed_everything(seed)
    autoencoder.to(device, memory_format=torch.channels_last)
    quicken(autoencoder)
    for parameter in rates:
        parameter.requires_grad_(True)
    averaged = AveragedWeights(autoencoder, decay=decay)
    optimizer = torch.optim.AdamW(_groups(rates), betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    state = Resumable(folder / f"{half}.pt", network=autoencoder, averaged=averaged, optimizer=optimizer)
    cores = Cores(device)
    losses: list[float] = []
    for step in logged_steps(half, state.load(), steps, losses):
        pictures, latents = batch_of(step, random.Random(seed * 1_000_003 + step))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * learning_rate_factor(step, steps, warmup_steps=50)
        parts = [(pictures[part :: cores.parts], latents[part :: cores.parts]) for part in range(cores.parts)]
        losses.append(cores.backward(partial(loss_of, autoencoder), parts, list(rates)))
        torch.nn.utils.clip_grad_norm_(rates, 1.0)
        optimizer.step()
        averaged.update(autoencoder)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            state.save(step + 1)
    return averaged.network


def _groups(rates: dict[nn.Parameter, float]) -> list[dict[str, Any]]:
    """Group the parameters by learning rate, for the optimizer."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for parameter, rate in rates.items():
        by_rate.setdefault(rate, []).append(parameter)
    return [{"params": group, "lr": rate, "initial_lr": rate} for rate, group in by_rate.items()]
