"""From latents to a finished image on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A finished image on the device: `pixels` (H, W, 3) uint8 RGB, and two verdicts, 0-dim bools.

    Both verdicts use the decoder's floats, before clamping and rounding: a black sky may round to
    one colour, but the decoder's floats always vary.
    """

    pixels: torch.Tensor
    finite: torch.Tensor
    """Whether every number is finite."""
    varied: torch.Tensor
    """Whether any channel has more than one value."""

    @classmethod
    def of(cls, image: torch.Tensor, latents: torch.Tensor) -> Self:
        """Return the image of a decoder's output (1, 3, H, W) in [-1, 1], rounded as by `VaeImageProcessor`."""
        unit = (image[0] * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0).float()
        return cls(
            pixels=(unit * 255).round().to(torch.uint8).contiguous(),
            finite=torch.isfinite(image).all() & torch.isfinite(latents).all(),
            varied=(image.amax((-2, -1)) > image.amin((-2, -1))).any(),
        )


def channels_of(values: Sequence[float], *, like: torch.Tensor) -> torch.Tensor:
    """Return one value for each channel of a grid of latents, (1, C, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1).to(like)


def unscaled(grid: torch.Tensor, config: Any) -> torch.Tensor:
    """Return what an autoencoder with this configuration decodes, from a grid of scaled latents."""
    shift = getattr(config, "shift_factor", None)
    latents = grid / config.scaling_factor
    return latents if shift is None else latents + shift


def scaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Return a grid of scaled latents from what an autoencoder with this configuration encodes."""
    shift = getattr(config, "shift_factor", None)
    return (latents if shift is None else latents - shift) * config.scaling_factor
