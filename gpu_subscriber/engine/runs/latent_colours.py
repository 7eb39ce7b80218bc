"""The colours of latents: a linear map from latents to RGB, with which previews are made."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate

LATENT_PREVIEW_FILE = "latent_preview.json"
_PROBES = 32
"""Random grids from which the colours of an autoencoder are measured first."""
_DECODED_AT_ONCE = 4
_PROBE_SIDE = 12
_PROBE_BORDER = 2
"""Cells at the border of each probe that are not measured: the autoencoder pads them."""
_WEIGHT_OF_IMAGES = 250.0
"""Relative to all probes, which only have to determine what the images leave open."""
_SHARE_OF_NEWEST = 0.2
"""The share of an ordinary image in the mean of all; the shares of the earlier ones shrink."""


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

    def thumbnail(self, latents: torch.Tensor) -> torch.Tensor:
        """(1, C, h, w) clean latents → (h, w, 3) uint8, still on the device."""
        colours = torch.einsum("chw,cr->hwr", latents[0].float(), self.weights) + self.bias
        return ((colours * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


class ColourFit:
    """Fits the map to an autoencoder by least squares over the cells of decoded latents.

    Smooth random latents give the first map. The latents of real images have another distribution,
    so each image improves the map; earlier ones count less and less. An image whose latents are much
    larger than the probes hardly counts, because extreme parameters of one caller must not spoil
    the previews of the others. Nothing here waits for the device.
    """

    def __init__(self, decode: Callable[[torch.Tensor], torch.Tensor], *, like: torch.Tensor) -> None:
        """Measure the first map.

        `decode` takes (N, C, h, w) scaled latents and returns (N, 3, H, W) in [-1, 1]. `like` is one
        such grid of the model.
        """
        generator = torch.Generator("cpu").manual_seed(0)
        coarse = torch.randn(_PROBES, like.shape[1], _PROBE_SIDE // 2, _PROBE_SIDE // 2, generator=generator)
        probes = interpolate(coarse, scale_factor=2, mode="bilinear")
        probes = (probes / probes.std()).to(like)
        decoded = torch.cat([decode(part) for part in probes.split(_DECODED_AT_ONCE)])
        self._probes = _normal_equations(probes, decoded, border=_PROBE_BORDER)
        self._images = torch.zeros_like(self._probes)
        self._colours: LatentColours | None = None

    def learn(self, grid: torch.Tensor, image: torch.Tensor) -> None:
        """Improve the map by an image: (1, C, h, w) scaled latents and their decoding, (1, 3, H, W)."""
        learned = _normal_equations(grid, image)
        # Its effect on the fit grows with the mean square, so its share falls with the square of that.
        share = _SHARE_OF_NEWEST * (_mean_square(self._probes) / _mean_square(learned)).clamp(max=1) ** 2
        is_finite = torch.isfinite(learned).all()
        self._images = torch.where(is_finite, self._images.lerp(learned, share), self._images)
        self._colours = None

    @property
    def colours(self) -> LatentColours:
        """The map that fits all probes and images so far; solved at the first use after an image."""
        if self._colours is None:
            equations = self._probes + _WEIGHT_OF_IMAGES * self._images
            size = len(equations)
            ridge = 1e-5 * torch.eye(size, device=equations.device)
            solution, _ = torch.linalg.solve_ex(equations[:, :size] + ridge, equations[:, size:])
            self._colours = LatentColours(weights=solution[:-1], bias=solution[-1])
        return self._colours


def _mean_square(equations: torch.Tensor) -> torch.Tensor:
    """Return the mean over all cells of the squared length of X."""
    return equations.diagonal().sum()


def _normal_equations(grids: torch.Tensor, images: torch.Tensor, *, border: int = 0) -> torch.Tensor:
    """Return the mean of XᵀX and XᵀY over all cells, side by side: (C + 1, C + 1 + 3).

    X is the latents of a cell and 1, Y is the mean colour of its pixels.
    """
    colours = adaptive_avg_pool2d(images.float(), (grids.shape[-2], grids.shape[-1]))
    grids = grids.float()
    columns = torch.cat([grids, torch.ones_like(grids[:, :1]), colours], 1)
    inner = columns[:, :, border : columns.shape[2] - border, border : columns.shape[3] - border]
    cells = inner.permute(0, 2, 3, 1).reshape(-1, columns.shape[1])
    known = cells[:, : grids.shape[1] + 1]
    return known.T @ cells / len(cells)
