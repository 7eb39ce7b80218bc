"""Edited pictures: tokens that a transformer reads after those of the latents in each step.

Equal to diffusers' pipelines of models that edit. A Run starts from noise, and the encoded picture
is a row of the batch.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

from gpu_subscriber.engine.families.starting_image import Beginning, ImageEncoder, image_of, initial_latents
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch

_PICTURE = "edited_picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedPicture:
    """An encoded picture, in the shape of the denoiser's latents."""

    tokens: torch.Tensor

    @classmethod
    def encoded(cls, encoder: ImageEncoder, inputs: Inputs) -> Self:
        """Encode the picture of a task, which draws no noise."""
        return cls.of_pixels(encoder, image_of(encoder, inputs))

    @classmethod
    def of_pixels(cls, encoder: ImageEncoder, pixels: torch.Tensor) -> Self:
        """Encode pixels, (1, 3, H, W) in [-1, 1]."""
        latents = retrieve_latents(encoder.encode_image(pixels), sample_mode="argmax")
        return cls(tokens=encoder.packed(encoder.scaled(latents.to(encoder.denoiser.dtype))))

    def begun(
        self, noise: torch.Tensor, scheduler: Any, timesteps: torch.Tensor, generator: torch.Generator
    ) -> Beginning:
        """Return how a Run with this picture begins: from noise."""
        return Beginning(latents=initial_latents(noise, scheduler), rows={_PICTURE: self.tokens})


def with_edited_picture(latents: torch.Tensor, rows: Batch) -> tuple[torch.Tensor, Batch]:
    """Return what a transformer receives: latents followed by the picture's tokens, and the other rows."""
    if _PICTURE not in rows:
        return latents, rows
    others = {name: row for name, row in rows.items() if name != _PICTURE}
    return torch.cat([latents, rows[_PICTURE]], dim=1), others
