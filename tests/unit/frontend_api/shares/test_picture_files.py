"""Shared files have the same pixels as the stored ones, and none of their metadata."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.domain.parameters import OutputFormat
from frontend_api.shares.picture_files import UnknownFileError, without_metadata
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import encode_image, read_record, recorded
from tests.factories import draw_conditions, parameters
from tests.pictures import picture

SIZE = (64, 48)
PIXELS = bytes(range(256)) * 36
TYPES = {each: f"image/{each.value}" for each in OutputFormat}


def stored_file(output_format: OutputFormat, quality: int | None = None) -> bytes:
    """Return a file as the worker stores it, with a prompt, a seed and a task's id inside."""
    asked = parameters(
        prompt="a secret prompt", seed=8_765_432_109, output_format=output_format, output_quality=quality
    )
    record = recorded(PIXELS, SIZE, asked, draw_conditions(), task_id="the-task-id", index=0, attempt=1)
    return encode_image(PIXELS, SIZE, record)


STORED = {each: stored_file(each) for each in OutputFormat}


def pixels(file: bytes) -> bytes:
    with Image.open(io.BytesIO(file)) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("output_format", OutputFormat)
def test_shared_file_has_the_same_pixels_and_no_metadata(output_format: OutputFormat) -> None:
    stored = STORED[output_format]
    assert read_record(stored).task_id == "the-task-id"
    shared = without_metadata(stored, TYPES[output_format])
    assert pixels(shared) == pixels(stored)
    with pytest.raises(UnreadableImageError):
        read_record(shared)
    with Image.open(io.BytesIO(shared)) as image:
        assert not image.getexif()
        assert not {"exif", "xmp", "comment", "darkroom", "parameters"} & set(image.info)
    for secret in ("the-task-id", "secret prompt", "8765432109"):
        assert secret.encode() not in shared
        assert secret.encode("utf-16-be") not in shared


def test_lossless_webp_keeps_its_pixels() -> None:
    stored = stored_file(OutputFormat.WEBP, quality=100)
    assert pixels(without_metadata(stored, "image/webp")) == PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_file_without_metadata_is_not_changed(kind: str) -> None:
    file = picture(kind)
    assert without_metadata(file, f"image/{kind.lower()}") == file


@pytest.mark.parametrize("output_format", OutputFormat)
def test_incomplete_file_is_refused(output_format: OutputFormat) -> None:
    stored = STORED[output_format]
    with pytest.raises(UnknownFileError):
        without_metadata(stored[:100], TYPES[output_format])


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "", "image/png; charset=x"])
def test_other_types_are_refused(content_type: str) -> None:
    with pytest.raises(UnknownFileError):
        without_metadata(picture("PNG"), content_type)


@given(content_type=st.sampled_from(sorted(TYPES.values())), file=st.binary(max_size=200))
@settings(max_examples=200)
def test_arbitrary_bytes_are_refused(content_type: str, file: bytes) -> None:
    with pytest.raises(UnknownFileError):
        without_metadata(file, content_type)


def test_box_of_an_avif_that_is_too_long_is_refused() -> None:
    file = bytearray(STORED[OutputFormat.AVIF])
    struct.pack_into(">I", file, 0, len(file) + 1)
    with pytest.raises(UnknownFileError):
        without_metadata(bytes(file), "image/avif")
