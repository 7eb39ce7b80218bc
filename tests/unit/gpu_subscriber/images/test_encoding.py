"""Image files and their embedded records: what is embedded is read back, in every format."""

import hashlib
import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from common.domain.parameters import MAX_PROMPT_CHARACTERS, OutputFormat
from common.domain.provenance import MAX_RESUMES, Resume
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import encode_image, pixels_sha256, read_record, recorded
from gpu_subscriber.images.parameter_lines import parameter_lines
from gpu_subscriber.images.record import ImageRecord
from tests.factories import draw_conditions, environment, parameters
from tests.pictures import png_with_an_empty_profile

SIZE = (16, 8)
PIXELS = bytes(range(128)) * 3
XMP_TAG = 700
"""Of TIFF files."""


def record(drawn: dict[str, Any] | None = None, **changes: Any) -> ImageRecord:
    """Return the record of the third image of a task with these parameters."""
    own = parameters(num_images=3, **changes).of_image(2)
    return recorded(PIXELS, SIZE, own, draw_conditions(**(drawn or {})), task_id="task-1", index=2, attempt=1)


def encoded(said: ImageRecord) -> bytes:
    return encode_image(PIXELS, SIZE, said)


@pytest.mark.parametrize("output_format", OutputFormat)
@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle",
        "größe 東京 🎨",
        "<a b=\"c\" d='e'>&amp;\n\ttab",
        "]]> \x00\x1f",
        "\U0001f3a8" * MAX_PROMPT_CHARACTERS,
    ],
)
def test_image_record_is_read_back(output_format: OutputFormat, prompt: str) -> None:
    said = record(prompt=prompt, negative_prompt="blurry", output_format=output_format)
    assert read_record(encoded(said)) == said


def test_record_is_read_from_the_formats_of_images_only() -> None:
    jpeg = encoded(record(output_format=OutputFormat.JPEG))
    file = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.save(file, "TIFF", tiffinfo={XMP_TAG: image.info["xmp"]})
    with pytest.raises(UnreadableImageError):
        read_record(file.getvalue())


@given(prompt=st.text(min_size=1, max_size=200), output_format=st.sampled_from(OutputFormat))
@settings(max_examples=60)
def test_any_prompt_survives_the_record(prompt: str, output_format: OutputFormat) -> None:
    said = record(output_format=output_format)
    said = said.model_copy(update={"parameters": said.parameters.model_copy(update={"prompt": prompt})})
    assert read_record(encoded(said)) == said


@pytest.mark.parametrize("output_format", OutputFormat)
def test_largest_record_fits_every_format(output_format: OutputFormat) -> None:
    longest = "\U0001f3a8" * MAX_PROMPT_CHARACTERS
    elsewhere = Resume(step=999, before=environment(device="NVIDIA RTX 6000 Ada Generation"))
    drawn = {"batches": (16,) * 1_001, "resumes": (elsewhere,) * MAX_RESUMES}
    said = record(drawn, prompt=longest, negative_prompt=longest, output_format=output_format)
    assert read_record(encoded(said)) == said


@pytest.mark.parametrize("output_format", OutputFormat)
def test_file_has_the_format_of_its_name(output_format: OutputFormat) -> None:
    with Image.open(io.BytesIO(encoded(record(output_format=output_format)))) as image:
        assert image.get_format_mimetype() == output_format.content_type
        assert image.size == SIZE


def test_png_keeps_every_pixel() -> None:
    with Image.open(io.BytesIO(encoded(record()))) as image:
        assert image.tobytes() == PIXELS


@pytest.mark.parametrize(
    ("chosen", "keeps_every_pixel"),
    [
        ({"output_format": "png"}, True),
        ({"output_format": "jpeg"}, False),
        ({"output_format": "jpeg", "output_quality": 100}, False),
        ({"output_format": "webp"}, False),
        ({"output_format": "webp", "output_quality": 99}, False),
        ({"output_format": "webp", "output_quality": 100}, True),
        ({"output_format": "avif", "output_quality": 60}, False),
        ({"output_format": "avif", "output_quality": 60, "metadata": "none"}, False),
    ],
)
def test_decoded_sha256_is_that_of_the_file(chosen: dict[str, Any], keeps_every_pixel: bool) -> None:
    said = record(**chosen)
    with Image.open(io.BytesIO(encoded(said))) as image:
        shown = image.convert("RGB").tobytes()
    assert said.provenance.decoded_sha256 == hashlib.sha256(shown).hexdigest()
    assert said.provenance.pixels_sha256 == hashlib.sha256(PIXELS).hexdigest()
    assert said.parameters.is_lossless == (shown == PIXELS) == keeps_every_pixel
    assert pixels_sha256(PIXELS, SIZE) == said.provenance.pixels_sha256


@pytest.mark.parametrize("output_format", [each for each in OutputFormat if each.takes_quality])
def test_lower_quality_makes_smaller_files(output_format: OutputFormat) -> None:
    noise = random.Random(0).randbytes(3 * 64 * 64)
    own = [
        parameters(output_format=output_format, output_quality=quality, width=64, height=64)
        for quality in (100, None, 20)
    ]
    files = [
        encode_image(
            noise,
            (64, 64),
            recorded(noise, (64, 64), each, draw_conditions(), task_id="task-1", index=0, attempt=1),
        )
        for each in own
    ]
    best, usual, small = map(len, files)
    assert best > usual > small


@pytest.mark.parametrize("output_format", OutputFormat)
def test_file_without_metadata_has_only_the_image(output_format: OutputFormat) -> None:
    said = record(output_format=output_format, metadata="none")
    assert said.provenance.decoded_sha256 == record(output_format=output_format).provenance.decoded_sha256
    with Image.open(io.BytesIO(encoded(said))) as image:
        assert not {"parameters", "darkroom", "exif", "xmp"} & image.info.keys()
        assert not image.getexif()
    with pytest.raises(UnreadableImageError):
        read_record(encoded(said))


@pytest.mark.parametrize("output_format", OutputFormat)
def test_same_image_has_the_same_bytes(output_format: OutputFormat) -> None:
    assert encoded(record(output_format=output_format)) == encoded(record(output_format=output_format))


def test_file_has_the_parameter_lines_of_other_programs() -> None:
    said = record(negative_prompt="blurry")
    with Image.open(io.BytesIO(encoded(said))) as image:
        assert image.info["parameters"] == parameter_lines(said)
    jpeg = encoded(record(negative_prompt="blurry", output_format=OutputFormat.JPEG))
    with Image.open(io.BytesIO(jpeg)) as image:
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.removeprefix(b"UNICODE\x00").decode("utf-16-be") == parameter_lines(said)


@pytest.mark.parametrize(
    ("prompt", "chunk"),
    [("a red circle", b"tEXt"), ("größe", b"tEXt"), ("赤い丸", b"iTXt"), ("‘a’", b"iTXt")],
)
def test_png_parameters_are_itxt_only_for_characters_outside_latin_1(prompt: str, chunk: bytes) -> None:
    png = encoded(record(prompt=prompt))
    place = png.index(b"parameters\x00")
    assert png[place - 4 : place] == chunk
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["parameters"].splitlines()[0] == prompt


def _png(**text: str) -> bytes:
    file, chunks = io.BytesIO(), PngInfo()
    for name, value in text.items():
        chunks.add_itxt(name, value)
    Image.new("RGB", SIZE).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        _png(),
        _png(darkroom="not JSON"),
        _png(darkroom="[]"),
        _png(darkroom=json.dumps({"version": "1.0", "task_id": "x"})),
        _png(darkroom=json.dumps({"version": "2.0"})),
        png_with_an_empty_profile(),
    ],
    ids=["empty", "text", "foreign", "no JSON", "no object", "incomplete", "from the future", "damaged"],
)
def test_bytes_without_a_record_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_record(data)
