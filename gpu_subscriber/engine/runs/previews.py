"""Previews: small JPEGs of the predicted clean latents, made by a linear map, not the autoencoder.

Each takes well below a millisecond on a CPU, and about one a second is made, so previews cost next
to nothing.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

LATENT_PREVIEW_FILE = "latent_preview.json"
PREVIEW_SIDE = 128
"""Longest side of a preview, pixels."""
JPEG_QUALITY = 70
FIRST_PREVIEW_AT = 0.25
"""Share of the steps before which a preview would show only a blur."""
SHARE_OF_RUN = 0.3
SHORTEST_INTERVAL_SECONDS = 0.1

# Least-squares fit of Stable Diffusion 1's latents (scaled) to RGB in [-1, 1]. The factors are well
# known in the community (ComfyUI `latent_formats.SD15`).
SD1_WEIGHTS = (
    (0.3512, 0.2297, 0.3227),
    (0.3250, 0.4974, 0.2350),
    (-0.2829, 0.1762, 0.2721),
    (-0.2120, -0.2616, -0.7177),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentColours:
    """A linear map from scaled latents to RGB in [-1, 1]: `weights` (C, 3), `bias` (3,), float32 on the device."""

    weights: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def beside(cls, folder: Path | None, device: torch.device) -> "LatentColours":
        """Return the map from a model's folder, else Stable Diffusion 1's."""
        weights, bias = SD1_WEIGHTS, (0.0, 0.0, 0.0)
        file = None if folder is None else folder / LATENT_PREVIEW_FILE
        if file is not None and file.is_file():
            stored = json.loads(file.read_text())
            weights, bias = stored["weights"], stored["bias"]
        return cls(
            weights=torch.tensor(weights, dtype=torch.float32, device=device),
            bias=torch.tensor(bias, dtype=torch.float32, device=device),
        )

    def thumbnail(self, latents: torch.Tensor) -> torch.Tensor:
        """(1, C, h, w) clean latents → (h, w, 3) uint8, still on the device."""
        colours = torch.einsum("chw,cr->hwr", latents[0].float(), self.weights) + self.bias
        return ((colours * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)

    def fits(self, latents: torch.Tensor) -> bool:
        """Return whether these latents, of any shape, fit the map."""
        return latents.ndim == 4 and latents.shape[1] == self.weights.shape[0]


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
