"""Turns drawn scenes into latents once, so that training the U-Net never runs the autoencoder."""

import itertools
import json
import logging
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gpu_subscriber.demo_model.descriptions import Description, descriptions
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.training.networks import LATENT_CHANNELS, Autoencoder
from gpu_subscriber.demo_model.training.stage import Cores, pictures_to_tensor

logger = logging.getLogger("darkroom.demo_model.training")


CHUNK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentScenes:
    """`latents` (n, 4, s, s) float16, and what each of them shows; none of it is held out."""

    latents: Tensor
    descriptions: list[Description]


@torch.no_grad()
def normalise(autoencoder: Autoencoder, *, seed: int, device: str, count: int = 256) -> None:
    """Gives each latent channel mean 0 and deviation 1, by changing the 1×1 convolutions on both sides of the latents.

    A stock pipeline knows one scaling factor for all channels and no shift; folding both into the weights
    gives the U-Net clean input with `scaling_factor` 1.
    """
    latents = (
        encoded_scenes(autoencoder, count=count, side=256, seed=seed, device=device)
        .latents.float()
        .to(device)
    )
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, out_of = autoencoder.quant_conv, autoencoder.post_quant_conv
    out_of.bias += out_of.weight[:, :, 0, 0] @ mean
    out_of.weight *= deviation[None, :, None, None]
    into.weight[:LATENT_CHANNELS] /= deviation[:, None, None, None]
    into.bias[:LATENT_CHANNELS] = (into.bias[:LATENT_CHANNELS] - mean) / deviation
    into.bias[LATENT_CHANNELS:] -= 2 * deviation.log()
    autoencoder.register_to_config(scaling_factor=1.0)


def cached_scenes(
    folder: Path, autoencoder: Autoencoder, *, count: int, side: int, seed: int, device: str
) -> LatentScenes:
    """`encoded_scenes`, kept in a file of `folder`, because encoding takes minutes on a CPU."""
    path = folder / f"latents_{side}_{count}_{seed}.pt"
    if path.exists():
        asked = list(itertools.islice(descriptions(seed, held_out=False), count))
        return LatentScenes(latents=torch.load(path, weights_only=True), descriptions=asked)
    scenes = encoded_scenes(autoencoder, count=count, side=side, seed=seed, device=device)
    torch.save(scenes.latents, path)
    return scenes


def encoded_scenes(
    autoencoder: Autoencoder, *, count: int, side: int, seed: int, device: str
) -> LatentScenes:
    asked = list(itertools.islice(descriptions(seed, held_out=False), count))

    @torch.no_grad()
    def encoded(first: int) -> Tensor:
        random_source = random.Random(seed * 1_000_003 + first)
        scenes = [lay_out(each, random_source) for each in asked[first : first + CHUNK]]
        pictures = pictures_to_tensor(np.stack([draw(scene, side) for scene in scenes]), device)
        with torch.autocast(device, torch.bfloat16):
            return autoencoder.encode(pictures).latent_dist.mean.half().cpu()

    latents = torch.cat(Cores(device).map(encoded, range(0, count, CHUNK)))
    logger.info("encoded %d scenes at %d pixels", count, side)
    return LatentScenes(latents=latents, descriptions=asked)


@torch.no_grad()
def write_preview_map(autoencoder: Autoencoder, path: Path, *, seed: int, device: str) -> None:
    """The linear map that best turns the U-Net's latents into RGB in [-1, 1], at an eighth of the size."""
    random_source = random.Random(seed)
    asked = itertools.islice(descriptions(seed, held_out=False), 128)
    colours = pictures_to_tensor(
        np.stack([draw(lay_out(each, random_source), 256) for each in asked]), device
    )
    latents = autoencoder.encode(colours).latent_dist.mean * autoencoder.config.scaling_factor
    rows = latents.permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS)
    rows = torch.cat([rows, torch.ones(len(rows), 1, device=device)], 1)
    targets = functional.avg_pool2d(colours, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    solution = torch.linalg.lstsq(rows.cpu(), targets.cpu()).solution
    rounded = [[round(value, 5) for value in row] for row in solution.tolist()]
    path.write_text(json.dumps({"weights": rounded[:-1], "bias": rounded[-1]}, indent=2) + "\n")
