"""Image files and their embedded records: what is embedded is read back, in every format."""

import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from common.domain.models.traits import Guidance
from common.domain.parameters import MAX_PROMPT_CHARACTERS, OutputFormat, Sampler
from common.domain.provenance import MAX_RESUMES, Resume
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import encode_image, parameter_lines, pixels_sha256, read_record, recorded
from gpu_subscriber.images.record import ImageRecord
from tests.factories import draw_conditions, environment, parameters

SIZE = (16, 8)
PIXELS = bytes(range(128)) * 3


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


@pytest.mark.parametrize("output_format", OutputFormat)
def test_pixels_hash_equals_the_decoded_file(output_format: OutputFormat) -> None:
    with Image.open(io.BytesIO(encoded(record(output_format=output_format)))) as image:
        shown = image.convert("RGB").tobytes()
    assert pixels_sha256(PIXELS, SIZE, shown_by=output_format) == hashlib.sha256(shown).hexdigest()
    assert pixels_sha256(PIXELS, SIZE) == hashlib.sha256(PIXELS).hexdigest()
    assert (shown == PIXELS) == (output_format is OutputFormat.PNG)


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
    assert parameter_lines(said).splitlines() == [
        "a large red circle",
        "Negative prompt: blurry",
        "Steps: 20, Sampler: ddim, CFG scale: 4, Seed: 12347, Size: 256x256, Model: demo",
    ]


def test_parameter_lines_omit_ineffective_guidance() -> None:
    said = record(sampler=Sampler.OWN, guidance_scale=1.0)
    said = said.model_copy(
        update={"parameters": said.parameters.model_copy(update={"guidance": Guidance.NONE})}
    )
    assert parameter_lines(said).splitlines()[-1] == (
        f"Steps: 20, Sampler: own ({said.provenance.sampler_config['class']}), Seed: 12347, Size: 256x256, Model: demo"
    )


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
    ],
    ids=["empty", "text", "foreign", "no JSON", "no object", "incomplete", "from the future"],
)
def test_bytes_without_a_record_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_record(data)
