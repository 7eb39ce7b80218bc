"""Thumbnails: small versions of the images, for lists. They contain no metadata."""

import io

from PIL import Image

THUMBNAIL_SIDE = 512
"""Longest side, pixels: enough for a card of the page on a screen with two pixels per CSS pixel."""
THUMBNAIL_FORMAT = "webp"
THUMBNAIL_CONTENT_TYPE = "image/webp"
_QUALITY = 80
_METHOD = 2
_MAX_SHARE = 0.75
"""A thumbnail with more of its image's bytes is not worth a second object."""


def thumbnail_of(
    pixels: bytes, size: tuple[int, int], *, image_bytes: int
) -> tuple[bytes, tuple[int, int]] | None:
    """Encode a thumbnail of an RGB image, `size` = (width, height), whose file has `image_bytes`.

    Returns its bytes and size, or None if it is not worth storing. The output is deterministic.
    """
    image = Image.frombytes("RGB", size, pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, THUMBNAIL_FORMAT, quality=_QUALITY, method=_METHOD)
    data = file.getvalue()
    return (data, image.size) if len(data) < _MAX_SHARE * image_bytes else None
