"""How much two images of the same size differ: the quality figures of everything that changes numbers."""

from dataclasses import dataclass
from typing import Self

import torch
from torch.nn.functional import avg_pool2d

_WINDOW = 7
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDifference:
    """The difference of two images, or of two sets of images; levels are those of 255."""

    mean: float
    """The mean difference of a colour value, levels."""
    largest: int
    """The largest difference of a colour value, levels."""
    psnr: float
    """The peak signal-to-noise ratio, dB; infinite for equal images."""
    ssim: float
    """The mean structural similarity in windows of 7 × 7 pixels; 1 for equal images."""

    @classmethod
    def between(cls, images: torch.Tensor, others: torch.Tensor) -> Self:
        """Compare (H, W, 3) or (N, H, W, 3) uint8 images."""
        one, other = (each.reshape(-1, *each.shape[-3:]).double() for each in (images, others))
        error = (one - other).abs()
        squared = (error**2).mean()
        return cls(
            mean=float(error.mean()),
            largest=int(error.max()),
            psnr=float(10 * torch.log10(255**2 / squared)),
            ssim=_ssim(one.permute(0, 3, 1, 2), other.permute(0, 3, 1, 2)),
        )


def _ssim(one: torch.Tensor, other: torch.Tensor) -> float:
    window = min(_WINDOW, *one.shape[-2:])

    def mean(values: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(values, window, stride=1)

    a, b = mean(one), mean(other)
    variances = mean(one**2) - a**2 + mean(other**2) - b**2
    covariance = mean(one * other) - a * b
    likeness = (2 * a * b + _C1) * (2 * covariance + _C2) / ((a**2 + b**2 + _C1) * (variances + _C2))
    return float(likeness.mean())
