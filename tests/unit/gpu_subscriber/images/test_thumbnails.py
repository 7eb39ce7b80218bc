"""Thumbnails of images."""

import io

import numpy as np
from PIL import Image

from gpu_subscriber.images.thumbnails import thumbnail_of

LARGE = 10_000_000


def noise(width: int, height: int) -> bytes:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8).tobytes()


def test_thumbnail_is_a_small_webp_of_the_same_proportions() -> None:
    made = thumbnail_of(noise(1_024, 768), (1_024, 768), image_bytes=LARGE)
    assert made is not None
    data, size = made
    assert size == (512, 384)
    shown = Image.open(io.BytesIO(data))
    assert (shown.format, shown.size, dict(shown.getexif())) == ("WEBP", size, {})


def test_small_image_keeps_its_size() -> None:
    made = thumbnail_of(noise(64, 48), (64, 48), image_bytes=LARGE)
    assert made is not None
    assert made[1] == (64, 48)


def test_no_thumbnail_is_made_that_saves_little() -> None:
    made = thumbnail_of(noise(64, 48), (64, 48), image_bytes=LARGE)
    assert made is not None
    assert thumbnail_of(noise(64, 48), (64, 48), image_bytes=len(made[0])) is None


def test_thumbnail_is_deterministic() -> None:
    pixels = noise(600, 600)
    made = [thumbnail_of(pixels, (600, 600), image_bytes=LARGE) for _ in range(2)]
    assert made[0] == made[1]
