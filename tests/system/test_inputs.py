"""Pictures from the upload to the image: real API, bucket and worker, with the SDK and OpenAI's client."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from darkroom import Client, NotFoundError, ParametersRejectedError, TaskStatus
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large red circle above a small blue square"
SHORT: Any = {"steps": 8, "width": 128, "height": 128}


@pytest.fixture
def darkroom(system: System) -> Iterator[Client]:
    with Client(system.stack.page_url) as client:
        yield client


def noise(width: int, height: int) -> Image.Image:
    """A picture that no format compresses."""
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels_of(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)


def test_image_starts_from_an_uploaded_picture_and_takes_it_along(darkroom: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (240, 240, 240)).save(photo)
    first = darkroom.generate(PROMPT, image=photo, strength=0.2, seed=7, **SHORT)
    stored = darkroom.upload(photo)
    assert first.task.status is TaskStatus.COMPLETED
    assert first.task.parameters.image == stored.id
    near = pixels_of(first.images[0].content)
    assert np.abs(near.mean((0, 1)) - (240, 240, 240)).max() < 40  # a low strength keeps the colors
    second = darkroom.generate(PROMPT, image=stored.id, strength=1.0, seed=7, **SHORT)
    assert np.abs(pixels_of(second.images[0].content) - near).mean() > 10
    darkroom.delete(first.task)
    assert darkroom.input(stored.id).id == stored.id
    darkroom.delete(second.task)
    with pytest.raises(NotFoundError):
        darkroom.input(stored.id)
    with pytest.raises(ParametersRejectedError) as refused:
        darkroom.submit(PROMPT, image=stored.id)
    assert refused.value.errors[0].location == "/image"


def test_large_picture_is_sent_to_the_bucket_in_parts(darkroom: Client) -> None:
    picture = noise(1_300, 1_200)
    stored = darkroom.upload(picture)
    assert stored.size_bytes > 4 * 1024 * 1024
    assert (stored.width, stored.height) == (1_300, 1_200)
    assert darkroom.upload(picture).id == stored.id
    darkroom.delete_input(stored.id)


def test_openai_edit_changes_the_transparent_part_of_the_mask(system: System) -> None:
    picture = Image.new("RGB", (128, 128), (240, 240, 240))
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 128))
    files = []
    for each in (picture, mask):
        file = io.BytesIO()
        each.save(file, "PNG")
        files.append(("picture.png", file.getvalue(), "image/png"))
    base_url = f"{system.stack.page_url}openai/v1"
    with openai.OpenAI(base_url=base_url, api_key="local", max_retries=0) as client:
        made = client.images.edit(
            image=files[0],
            mask=files[1],
            prompt=PROMPT,
            size="128x128",
            extra_body={"steps": 8, "strength": 1.0, "seed": 7},
        )
    assert made.data is not None
    changed = np.abs(pixels_of(base64.b64decode(made.data[0].b64_json or "")) - 240).mean((0, 2))
    assert changed[:56].mean() > 2 * changed[72:].mean()  # the decoder changes both a little
