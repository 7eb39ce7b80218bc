"""Trains the autoencoder on drawn scenes: small patches first, whole pictures of 256 pixels last."""

import itertools
import random
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu_subscriber.demo_model.descriptions import random_description
from gpu_subscriber.demo_model.scenes import Scene, SceneObject, draw, lay_out
from gpu_subscriber.demo_model.training.fast_layers import quicken
from gpu_subscriber.demo_model.training.networks import LATENT_CHANNELS, Autoencoder, new_autoencoder
from gpu_subscriber.demo_model.training.stage import (
    AveragedWeights,
    Cores,
    Resumable,
    learning_rate_factor,
    logged_steps,
    pictures_to_tensor,
    seed_everything,
)
from gpu_subscriber.demo_model.vocabulary import Background, Colour, Shape

KL_WEIGHT = 5e-4
"""Just enough to keep the latents near a unit Gaussian's scale; more of it blurs the edges."""
OBJECT_WEIGHT = 3.0
"""Without it, drawing nothing but the background is a good beginning, and training stays there long."""
PREVIEW_WEIGHT = 2.0
CURRICULUM = ((0.72, 64, 16), (0.88, 128, 8), (1.0, 256, 4))
"""(until this share of the steps, side in pixels, pictures in a batch)."""


def train_autoencoder(folder: Path, *, steps: int, seed: int, device: str) -> Autoencoder:
    seed_everything(seed)
    network = new_autoencoder().to(device, memory_format=torch.channels_last)
    quicken(network)
    with torch.no_grad():
        # Starts with almost no noise on the latents (deviation 0.05): from the usual 1.0 learning is slow.
        network.quant_conv.bias[LATENT_CHANNELS:] = -6.0
    averaged = AveragedWeights(network, decay=0.995)
    preview = nn.Conv2d(LATENT_CHANNELS, 3, 1).to(device)
    parameters = [*network.parameters(), *preview.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    state = Resumable(
        folder / "autoencoder.pt", network=network, averaged=averaged, preview=preview, optimizer=optimizer
    )
    cores = Cores(device)
    losses: list[float] = []
    for step in logged_steps("autoencoder", state.load(), steps, losses):
        pictures = pictures_to_tensor(_pictures(random.Random(seed * 1_000_003 + step), step / steps), device)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * learning_rate_factor(step, steps)
        optimizer.zero_grad()
        parts = [(pictures[part :: cores.parts], step * cores.parts + part) for part in range(cores.parts)]
        loss = cores.backward(partial(_loss, network, preview), parts, parameters)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        averaged.update(network)
        losses.append(loss)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state.save(step + 1)
    return averaged.network


def _loss(network: Autoencoder, preview: nn.Module, part: tuple[Tensor, int]) -> Tensor:
    """Colours, and differences between neighbours so that edges come out sharp; objects count more than background.

    `part` is pictures (b, 3, s, s) and the seed of the noise on their latents.
    """
    pictures, noise_seed = part
    generator = torch.Generator(pictures.device).manual_seed(noise_seed)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        posterior = network.encode(pictures).latent_dist
        latents = posterior.sample(generator)
        drawn = network.decode(latents).sample.float()
        in_small = preview(latents).float()
    difference = drawn - pictures
    is_object = (pictures - pictures[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.05
    weight = 1 + OBJECT_WEIGHT * is_object
    colours = (weight * (difference.square() + 0.5 * difference.abs())).mean()
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    divergence = posterior.kl().mean() / posterior.mean[0].numel()
    # Latents that show the colours to a linear map: learnt long before the decoder could ask for them.
    previewed = (in_small - functional.avg_pool2d(pictures, 8)).square().mean()
    return colours + PREVIEW_WEIGHT * previewed + 0.5 * edges + KL_WEIGHT * divergence


def _pictures(random_source: random.Random, progress: float) -> npt.NDArray[np.uint8]:
    """Crowded patches first: they are quick and full of edges and colours.

    Then whole scenes, so that group norms see as much flat background as they will when drawing.
    """
    side, count = next((side, count) for until, side, count in CURRICULUM if progress < until)
    if side == 64:
        return np.stack([draw(_crowd(random_source), side) for _ in range(count)])
    kinds = itertools.islice(itertools.cycle(("pair", "group", "pair", "single")), count)
    scenes = [lay_out(random_description(random_source, kind), random_source) for kind in kinds]
    return np.stack([draw(scene, side) for scene in scenes])


def _crowd(random_source: random.Random) -> Scene:
    """Two to four objects anywhere, over one another and over the edge, as large in pixels as in whole scenes."""
    objects = tuple(
        SceneObject(
            shape=random_source.choice(list(Shape)),
            colour=random_source.choice(list(Colour)),
            x=random_source.random(),
            y=random_source.random(),
            diameter=random_source.uniform(0.4, 1.3),
        )
        for _ in range(random_source.choice((2, 3, 4)))
    )
    return Scene(background=random_source.choice(list(Background)), objects=objects)
