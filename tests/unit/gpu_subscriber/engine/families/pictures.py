"""Pictures and masks for tests, each named by its seed: the engine's form, and diffusers' form."""

from typing import Any

import numpy as np
from PIL import Image

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.messages import Picture

PICTURE, OTHER_PICTURE, MASK, CONTROL = (f"{number:064x}" for number in (1, 2, 3, 4))
REFERENCE_SIZE = (56, 40)


def inputs_of(parameters: GenerationParameters) -> dict[str, Picture]:
    """Return the pictures of the parameters in the size of the image: noise, and a mask of its right half."""
    size: dict[str, Any] = {"width": parameters.width, "height": parameters.height}
    inputs = {}
    for name in ("image", "control_image"):
        if (picture := getattr(parameters, name)) is not None:
            values = np.random.default_rng(int(picture, 16))
            pixels = values.integers(0, 256, (parameters.height, parameters.width, 3), dtype=np.uint8)
            inputs[name] = Picture(**size, pixels=pixels.tobytes())
    if parameters.reference_image is not None:
        values = np.random.default_rng(int(parameters.reference_image, 16))
        width, height = REFERENCE_SIZE
        pixels = values.integers(0, 256, (height, width, 3), dtype=np.uint8)
        inputs["reference_image"] = Picture(width=width, height=height, pixels=pixels.tobytes())
    if parameters.mask_image is not None:
        mask = np.zeros((parameters.height, parameters.width), np.uint8)
        mask[:, parameters.width // 2 :] = 255
        inputs["mask_image"] = Picture(**size, pixels=mask.tobytes())
    return inputs


def image_of(picture: Picture) -> Image.Image:
    """Return the picture as the stock pipelines take it."""
    mode = "RGB" if picture.channels == 3 else "L"
    return Image.frombytes(mode, (picture.width, picture.height), picture.pixels)
