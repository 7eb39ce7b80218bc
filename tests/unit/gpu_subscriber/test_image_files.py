"""Image files and the parameters inside them: what is embedded is read back, in every format."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from common.domain.parameters import MAX_PROMPT_CHARACTERS, OutputFormat
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.image_files import encode_image, parameter_lines, parameters_record, read_parameters
from tests.factories import parameters

SIZE = (16, 8)
PIXELS = bytes(range(128)) * 3


def record_of(**changes: object) -> dict[str, object]:
    wanted = parameters(**changes)
    return parameters_record(wanted, task_id="task-1", index=2, software={"torch": "2.13.0"})


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
def test_the_parameters_are_read_back(output_format: OutputFormat, prompt: str) -> None:
    record = record_of(prompt=prompt, negative_prompt="blurry")
    data = encode_image(PIXELS, SIZE, output_format=output_format, record=record)
    assert read_parameters(data) == record
    assert record["seed"] == 12_347  # the image's own, not the task's


@given(prompt=st.text(min_size=1, max_size=200), output_format=st.sampled_from(OutputFormat))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_prompt_survives(prompt: str, output_format: OutputFormat) -> None:
    record = record_of() | {"prompt": prompt}
    assert read_parameters(encode_image(PIXELS, SIZE, output_format=output_format, record=record)) == record


@pytest.mark.parametrize("output_format", OutputFormat)
def test_the_file_is_what_its_name_says(output_format: OutputFormat) -> None:
    data = encode_image(PIXELS, SIZE, output_format=output_format, record=record_of())
    with Image.open(io.BytesIO(data)) as image:
        assert image.get_format_mimetype() == output_format.content_type
        assert image.size == SIZE


def test_a_png_keeps_every_pixel() -> None:
    data = encode_image(PIXELS, SIZE, output_format=OutputFormat.PNG, record=record_of())
    with Image.open(io.BytesIO(data)) as image:
        assert image.tobytes() == PIXELS


@pytest.mark.parametrize("output_format", OutputFormat)
def test_the_same_picture_is_the_same_file(output_format: OutputFormat) -> None:
    first, second = (
        encode_image(PIXELS, SIZE, output_format=output_format, record=record_of()) for _ in range(2)
    )
    assert first == second


def test_other_programs_find_the_lines_they_know() -> None:
    record = record_of(negative_prompt="blurry")
    png = encode_image(PIXELS, SIZE, output_format=OutputFormat.PNG, record=record)
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["parameters"] == parameter_lines(record)
    jpeg = encode_image(PIXELS, SIZE, output_format=OutputFormat.JPEG, record=record)
    with Image.open(io.BytesIO(jpeg)) as image:
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.removeprefix(b"UNICODE\x00").decode("utf-16-be") == parameter_lines(record)
    assert parameter_lines(record).splitlines() == [
        "a large red circle",
        "Negative prompt: blurry",
        "Steps: 20, Sampler: ddim, CFG scale: 4, Seed: 12347, Size: 256x256, Model: demo",
    ]


def _foreign_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIZE).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"not an image", _foreign_png()])
def test_bytes_without_parameters_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_parameters(data)
