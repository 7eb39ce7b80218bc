"""Trains the autoencoder: the decoder draws from taught latents, the encoder sees those latents in pictures."""

import itertools
import random
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gpu_subscriber.demo_model.descriptions import random_description
from gpu_subscriber.demo_model.scenes import Scene, draw, lay_out
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
from gpu_subscriber.demo_model.training.taught_latents import PIXELS_PER_LATENT, taught_latents

OBJECT_WEIGHT = 3.0
"""Without it, drawing nothing but the background is a good beginning, and training stays there long."""
LEARNING_RATE = 1e-3
LARGEST_NOISE = 0.2
LARGEST_TINT = 0.25
LARGEST_SHIFT = 1.0
"""Of the imperfections of the decoder's latents: two deviations in the latents' units, one in cells."""
ENCODER_EVERY = 4
"""The encoder learns on every fourth step only: drawing from text never runs it."""
LOG_VARIANCE = -6.0
WHOLE_PICTURES_AFTER = 0.6
"""Of all steps. Before, every second step trains on parts of pictures."""


def train_autoencoder(
    folder: Path, *, steps: int, seed: int, device: str, begin_with: Autoencoder | None = None
) -> Autoencoder:
    seed_everything(seed)
    network = begin_with if begin_with is not None else new_autoencoder()
    network.to(device, memory_format=torch.channels_last)
    network.register_to_config(scaling_factor=1.0)
    quicken(network)
    with torch.no_grad():
        # The encoder is sure of what it sees: its noise is a constant, and training never touches it.
        network.quant_conv.weight[LATENT_CHANNELS:] = 0.0
        network.quant_conv.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    averaged = AveragedWeights(network, decay=0.99)
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True
    )
    state = Resumable(folder / "autoencoder.pt", network=network, averaged=averaged, optimizer=optimizer)
    cores = Cores(device)
    losses: list[float] = []
    for step in logged_steps("autoencoder", state.load(), steps, losses):
        random_source = random.Random(seed * 1_000_003 + step)
        in_parts = step % 2 == 0 and step < WHOLE_PICTURES_AFTER * steps
        pictures, latents = _pictures_and_latents(random_source, in_parts, device)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * learning_rate_factor(step, steps, warmup_steps=50)
        parts = [
            (pictures[part :: cores.parts], latents[part :: cores.parts], step * cores.parts + part)
            for part in range(cores.parts)
        ]
        with_encoder = step % ENCODER_EVERY == 0
        losses.append(cores.backward(partial(_loss, network, with_encoder), parts, parameters))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        averaged.update(network)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            state.save(step + 1)
    return averaged.network


def _loss(network: Autoencoder, with_encoder: bool, part: tuple[Tensor, Tensor, int]) -> Tensor:
    """`part` is pictures (b, 3, s, s), their taught latents (b, 4, s / 8, s / 8), and the seed of the noise."""
    pictures, latents, noise_seed = part
    generator = torch.Generator(pictures.device).manual_seed(noise_seed)
    noisy = _imperfect(latents, generator)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        drawn = network.decode(noisy.contiguous(memory_format=torch.channels_last)).sample.float()
        seen = network.encode(pictures).latent_dist.mean.float() if with_encoder else None
    seeing = (seen - latents).square().mean() if seen is not None else 0.0
    return picture_loss(drawn, pictures) + seeing


def picture_loss(drawn: Tensor, pictures: Tensor) -> Tensor:
    """Colours, objects before background, and differences between neighbours, so that edges come out sharp."""
    difference = drawn - pictures
    is_object = (pictures - pictures[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.05
    weight = 1 + OBJECT_WEIGHT * is_object
    colours = (weight * (difference.square() + 0.5 * difference.abs())).mean()
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return colours + 0.5 * edges


def _imperfect(latents: Tensor, generator: torch.Generator) -> Tensor:
    """What a U-Net's latents are like: noisy, of slightly wrong colours, and with wobbly outlines.

    From these the decoder learns to draw clean outlines and the colours there are, by what the shape's level says.
    """
    count, channels, side, _ = latents.shape

    def smooth(parts: int, largest: float) -> Tensor:
        shape = (count, parts, max(side // 4, 1), max(side // 4, 1))
        coarse = torch.randn(shape, generator=generator, device=latents.device)
        fine = functional.interpolate(coarse, size=(side, side), mode="bilinear")
        return largest * torch.rand(count, 1, 1, 1, generator=generator, device=latents.device) * fine

    steps = (torch.arange(side, device=latents.device) * 2 + 1) / side - 1
    places = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), 2)
    # grid_sample measures places from -1 to 1 over the whole side.
    moved = places + smooth(2, LARGEST_SHIFT).permute(0, 2, 3, 1) * 2 / side
    warped = functional.grid_sample(latents, moved, padding_mode="border", align_corners=False)
    white = LARGEST_NOISE * torch.rand(count, 1, 1, 1, generator=generator, device=latents.device)
    noise = white * torch.randn(latents.shape, generator=generator, device=latents.device)
    return warped + noise + smooth(channels, LARGEST_TINT)


def _pictures_and_latents(random_source: random.Random, in_parts: bool, device: str) -> tuple[Tensor, Tensor]:
    """Parts of pictures around an object are quick and full of edges; but only whole pictures have as much flat
    background as the group norms will see when drawing.
    """
    side, count = (128, 8) if in_parts else (256, 3)
    kinds = itertools.islice(itertools.cycle(("pair", "group", "pair", "single")), count)
    scenes = [lay_out(random_description(random_source, kind), random_source) for kind in kinds]
    pictures, latents = [], []
    for scene in scenes:
        top, left = corner_near_object(scene, random_source, side)
        cells = slice(top, top + side // PIXELS_PER_LATENT), slice(left, left + side // PIXELS_PER_LATENT)
        latents.append(taught_latents(scene, 256)[:, cells[0], cells[1]])
        pixels = top * PIXELS_PER_LATENT, left * PIXELS_PER_LATENT
        pictures.append(draw(scene, 256)[pixels[0] : pixels[0] + side, pixels[1] : pixels[1] + side])
    taught = torch.from_numpy(np.stack(latents)).to(device)
    return pictures_to_tensor(np.stack(pictures), device), taught


def corner_near_object(scene: Scene, random_source: random.Random, side: int) -> tuple[int, int]:
    """(top, left), in latents, of a part of the picture with an object near its middle."""
    placed = random_source.choice(scene.objects)
    most = (256 - side) // PIXELS_PER_LATENT
    top, left = (
        round((at * 256 - side / 2) / PIXELS_PER_LATENT) + random_source.randint(-2, 2)
        for at in (placed.y, placed.x)
    )
    return min(max(top, 0), most), min(max(left, 0), most)
