"""Previews: small JPEGs of the predicted clean latents, made by a linear map, not the autoencoder.

Each takes well below a millisecond on a CPU, and about one a second is made, so previews cost next
to nothing.
"""

import io

import torch
from PIL import Image

PREVIEW_SIDE = 128
"""Longest side of a preview, pixels."""
JPEG_QUALITY = 70
FIRST_PREVIEW_AT = 0.1
"""Share of the steps after which the first preview is made."""
SHARE_OF_RUN = 0.3
SHORTEST_INTERVAL_SECONDS = 0.1


def preview_is_due(
    *, steps_done: int, steps: int, elapsed: float, since_last: float | None, interval: float
) -> bool:
    """Return whether a preview is due; times in seconds since the Run's start and its last preview.

    Previews start after a tenth of the steps and repeat every `interval` seconds. Runs so short
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
