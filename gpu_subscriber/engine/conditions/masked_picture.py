"""Masked pictures: what UNets for inpainting read beside the latents in each step.

Equal to diffusers' inpainting pipelines with such a UNet. The mask and the encoded picture without
its white parts are rows of the batch. The sampler changes the whole image: no part of the picture
is restored after a step.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents
from torch.nn.functional import interpolate

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.starting_image import (
    Beginning,
    ImageEncoder,
    image_of,
    initial_latents,
    noised,
    white_of,
)
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch

_MASK, _PICTURE = "inpainting_mask", "inpainting_picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedPicture:
    """A picture and its mask."""

    encoder: ImageEncoder
    clean: torch.Tensor | None
    """The encoded picture; None if the Run starts from noise alone."""
    masked: torch.Tensor
    """The picture's pixels, grey in the white parts of the mask."""
    white: torch.Tensor

    @classmethod
    def encoded(
        cls,
        encoder: ImageEncoder,
        parameters: GenerationParameters,
        inputs: Inputs,
        generator: torch.Generator,
    ) -> Self:
        """Encode the picture, unless all steps are computed; that draws from the generator."""
        pixels = image_of(encoder, inputs)
        white = white_of("mask_image", inputs).to(encoder.device)
        clean = None
        if parameters.strength != 1.0:
            # As in the stock calls: convolutions round by the memory layout.
            clean = _latents_of(encoder, pixels, generator).contiguous()
        return cls(encoder=encoder, clean=clean, masked=pixels * (white == 0), white=white)

    def begun(
        self, noise: torch.Tensor, scheduler: Any, timesteps: torch.Tensor, generator: torch.Generator
    ) -> Beginning:
        """Return how a Run with this picture begins, and the rows of the masked picture."""
        if self.clean is None:
            latents = initial_latents(noise, scheduler)
        else:
            latents = noised(self.clean, noise, scheduler, timesteps)
        mask = interpolate(self.white, size=noise.shape[-2:]).to(noise)
        picture = _latents_of(self.encoder, self.masked, generator)
        return Beginning(latents=latents, rows={_MASK: mask, _PICTURE: picture})


def with_masked_picture(latents: torch.Tensor, rows: Batch) -> tuple[torch.Tensor, Batch]:
    """Return what a UNet receives: latents with the channels of the mask and the picture, and other rows."""
    if _MASK not in rows:
        return latents, rows
    others = {name: row for name, row in rows.items() if name not in (_MASK, _PICTURE)}
    return torch.cat([latents, rows[_MASK], rows[_PICTURE]], dim=1), others


def _latents_of(encoder: ImageEncoder, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    latents = retrieve_latents(encoder.encode_image(pixels), generator=generator)
    return encoder.scaled(latents.to(encoder.denoiser.dtype))
