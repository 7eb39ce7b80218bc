"""Previews: small JPEGs of the predicted clean latents, made by a linear map, not the autoencoder.

Each takes well below a millisecond on a CPU, and about one a second is made, so previews cost next
to nothing.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d, interpolate

LATENT_PREVIEW_FILE = "latent_preview.json"
PREVIEW_SIDE = 128
"""Longest side of a preview, pixels."""
JPEG_QUALITY = 70
FIRST_PREVIEW_AT = 0.25
"""Share of the steps before which a preview would show only a blur."""
SHARE_OF_RUN = 0.3
SHORTEST_INTERVAL_SECONDS = 0.1

_PROBES = 32
"""Random grids from which the colours of an autoencoder are measured."""
_PROBE_SIDE = 12
_PROBE_BORDER = 2
"""Cells at the border of each probe that are not measured: the autoencoder pads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentColours:
    """A linear map from scaled latents to RGB in [-1, 1]: `weights` (C, 3), `bias` (3,), float32 on the device."""

    weights: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def beside(cls, folder: Path | None, device: torch.device) -> Self | None:
        """Return the map from a model's folder; None if there is none."""
        file = None if folder is None else folder / LATENT_PREVIEW_FILE
        if file is None or not file.is_file():
            return None
        stored = json.loads(file.read_text())
        return cls(
            weights=torch.tensor(stored["weights"], dtype=torch.float32, device=device),
            bias=torch.tensor(stored["bias"], dtype=torch.float32, device=device),
        )

    @classmethod
    def measured(cls, decode: Callable[[torch.Tensor], torch.Tensor], *, like: torch.Tensor) -> Self:
        """Fit the map to an autoencoder: the mean colour of each cell, from smooth random latents.

        `decode` takes (N, C, h, w) scaled latents and returns (N, 3, H, W) in [-1, 1]. `like` is one
        such grid of the model. Least squares, since the cells' colours depend almost linearly on
        their latents.
        """
        generator = torch.Generator("cpu").manual_seed(0)
        coarse = torch.randn(_PROBES, like.shape[1], _PROBE_SIDE // 2, _PROBE_SIDE // 2, generator=generator)
        probes = interpolate(coarse, scale_factor=2, mode="bilinear")
        probes = (probes / probes.std()).to(like)
        decoded = decode(probes).float().cpu()
        colours = _inner_cells(adaptive_avg_pool2d(decoded, _PROBE_SIDE))
        cells = _inner_cells(probes.float().cpu())
        known = torch.cat([cells, torch.ones(len(cells), 1)], 1)
        fitted = torch.linalg.lstsq(known, colours, driver="gelsd").solution.to(like.device)
        return cls(weights=fitted[:-1], bias=fitted[-1])

    def thumbnail(self, latents: torch.Tensor) -> torch.Tensor:
        """(1, C, h, w) clean latents → (h, w, 3) uint8, still on the device."""
        colours = torch.einsum("chw,cr->hwr", latents[0].float(), self.weights) + self.bias
        return ((colours * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


def _inner_cells(grids: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) → (cells, C), without the border."""
    inner = slice(_PROBE_BORDER, -_PROBE_BORDER)
    return grids[:, :, inner, inner].permute(0, 2, 3, 1).reshape(-1, grids.shape[1])


def preview_is_due(
    *, steps_done: int, steps: int, elapsed: float, since_last: float | None, interval: float
) -> bool:
    """Return whether a preview is due; times in seconds since the Run's start and its last preview.

    Previews start after a quarter of the steps and repeat every `interval` seconds. Runs so short
    that they would show only one or two get them more often. The last step gets none, because the
    image itself follows.
    """
    if steps_done >= steps or steps_done < FIRST_PREVIEW_AT * steps:
        return False
    if since_last is None:
        return True
    expected = elapsed / max(steps_done, 1) * steps
    return since_last >= min(interval, max(SHORTEST_INTERVAL_SECONDS, SHARE_OF_RUN * expected))


def encode_preview(pixels: torch.Tensor) -> bytes:
    """(h, w, 3) uint8 on the CPU → a JPEG whose longer side is PREVIEW_SIDE pixels."""
    image = Image.fromarray(pixels.numpy())
    scale = PREVIEW_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
