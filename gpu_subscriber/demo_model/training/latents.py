"""Scenes as latents, to train the U-Net without running the autoencoder; the preview map."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gpu_subscriber.demo_model.descriptions import Description
from gpu_subscriber.demo_model.scenes import draw, lay_out_random
from gpu_subscriber.demo_model.training.networks import LATENT_CHANNELS
from gpu_subscriber.demo_model.training.stage import pictures_to_tensor
from gpu_subscriber.demo_model.training.taught_latents import object_weights, taught_latents


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentScenes:
    """`latents` (n, 4, s, s), `object_weights` (n, 1, s, s), both float16, and descriptions.

    None of them is held out.
    """

    latents: Tensor
    object_weights: Tensor
    descriptions: list[Description]


def latent_scenes(*, count: int, side: int, seed: int) -> LatentScenes:
    asked, scenes = lay_out_random(count, seed)
    latents = np.stack([taught_latents(scene, side) for scene in scenes])
    weights = np.stack([object_weights(scene, side) for scene in scenes])
    return LatentScenes(
        latents=torch.from_numpy(latents).half(),
        object_weights=torch.from_numpy(weights).half(),
        descriptions=asked,
    )


def write_preview_map(path: Path, *, seed: int) -> None:
    """Write the best linear map from latents to RGB in [-1, 1], at an eighth of the size."""
    _, scenes = lay_out_random(256, seed)
    colours = pictures_to_tensor(np.stack([draw(scene, 256) for scene in scenes]), "cpu")
    latents = torch.from_numpy(np.stack([taught_latents(scene, 256) for scene in scenes]))
    rows = latents.permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS)
    rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    targets = functional.avg_pool2d(colours, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    solution = torch.linalg.lstsq(rows, targets).solution
    rounded = [[round(value, 5) for value in row] for row in solution.tolist()]
    path.write_text(json.dumps({"weights": rounded[:-1], "bias": rounded[-1]}, indent=2) + "\n")
