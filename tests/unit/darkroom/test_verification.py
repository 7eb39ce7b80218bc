"""Reading the record in an image file, and comparing the image with a redrawn one."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from common.domain.parameters import OutputFormat
from common.domain.provenance import Resume
from darkroom import EditedImageError, NoImageRecordError, read_image_record
from darkroom.cli.exit_codes import ExitCode
from darkroom.image_record import RecordedImage
from darkroom.models.task import Task
from darkroom.verification import compared, verify
from gpu_subscriber.images.encoding import encode_image, recorded
from gpu_subscriber.images.record import encode_image_record
from scripted import Stage, answer, task_json
from test_images import STORED
from tests.factories import draw_conditions, environment, parameters
from tests.unit.darkroom.conftest import Terminal

SIDE = 64
PIXELS = bytes(value % 251 for value in range(SIDE * SIDE * 3))


def file_of(pixels: bytes = PIXELS, output_format: OutputFormat = OutputFormat.PNG, **drawn: Any) -> bytes:
    """Return a file as a worker writes it."""
    own = parameters(width=SIDE, height=SIDE, output_format=output_format)
    said = recorded(pixels, (SIDE, SIDE), own, draw_conditions(**drawn), task_id="task-1", index=0, attempt=1)
    return encode_image(pixels, (SIDE, SIDE), said)


def edited(data: bytes) -> bytes:
    """Return the image with a dot in it, saved by a program that keeps unknown metadata."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.paste((255, 0, 255), (8, 8, 24, 24))
        if image.format == "PNG":
            chunks = PngInfo()
            chunks.add_itxt("darkroom", image.info["darkroom"])
            image.save(file, "PNG", pnginfo=chunks)
        else:
            image.save(file, image.format, xmp=image.info["xmp"])
    return file.getvalue()


def changed(pixels: bytes, at: dict[int, int]) -> bytes:
    return bytes(at.get(place, value) for place, value in enumerate(pixels))


def plain_png(**text: str) -> bytes:
    file, chunks = io.BytesIO(), PngInfo()
    for name, value in text.items():
        chunks.add_itxt(name, value)
    Image.new("RGB", (SIDE, SIDE)).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@pytest.mark.parametrize("output_format", OutputFormat)
def test_the_client_reads_what_the_worker_wrote(output_format: OutputFormat, tmp_path: Path) -> None:
    elsewhere = Resume(step=7, before=environment(device="NVIDIA L4"))
    own = parameters(prompt="größe \"東京\" 'a' <&> 🎨", width=SIDE, height=SIDE, output_format=output_format)
    told = draw_conditions(revision="f06ba9a1", resumes=(elsewhere,))
    said = recorded(PIXELS, (SIDE, SIDE), own, told, task_id="task-1", index=2, attempt=3)
    path = tmp_path / "image"
    path.write_bytes(encode_image(PIXELS, (SIDE, SIDE), said))
    record = read_image_record(path)
    assert json.loads(record.model_dump_json()) == json.loads(encode_image_record(said))
    assert not RecordedImage.read(path).is_edited


@pytest.mark.parametrize("output_format", OutputFormat)
def test_an_edited_image_is_told_from_an_untouched_one(output_format: OutputFormat) -> None:
    data = edited(file_of(output_format=output_format))
    assert read_image_record(data).task_id == "task-1"
    with pytest.raises(EditedImageError, match="was edited"):
        RecordedImage.read_unedited(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", plain_png(), plain_png(darkroom="{}"), plain_png(darkroom='{"version": "2.0"}')],
    ids=["empty", "text", "foreign", "incomplete", "from the future"],
)
def test_a_file_without_a_record_is_refused(data: bytes) -> None:
    with pytest.raises(NoImageRecordError):
        read_image_record(data)


def of(data: bytes) -> RecordedImage:
    return RecordedImage.read_unedited(data)


def test_equal_pixels_are_bit_equal_whatever_the_records_say() -> None:
    found = compared(of(file_of()), of(file_of(batches=(2,) * 20)))
    assert found.bit_equal
    assert (found.difference.largest, found.difference.share_of_pixels) == ((0, 0, 0), 0.0)
    assert found.difference.psnr_db is None
    (only,) = found.record_differences
    assert (only.field, only.file, only.again) == ("batches", [1] * 20, [2] * 20)


def test_differences_are_measured() -> None:
    again = changed(PIXELS, {0: PIXELS[0] + 3, 4: PIXELS[4] + 1})
    found = compared(of(file_of()), of(file_of(again)))
    assert not found.bit_equal
    assert found.difference.largest == (3, 1, 0)
    assert found.difference.share_of_pixels == pytest.approx(2 / SIDE**2)
    assert found.difference.psnr_db == pytest.approx(79.0, abs=0.1)  # 10 log10(255² · 3 · 64² / (3² + 1²))
    assert found.record_differences == ()


def test_a_compressed_image_is_compared_as_it_was_drawn() -> None:
    again = changed(PIXELS, {0: PIXELS[0] + 1})
    found = compared(of(file_of(output_format=OutputFormat.WEBP)), of(file_of(again, OutputFormat.WEBP)))
    assert not found.bit_equal
    assert max(found.difference.largest) < 10


def test_why_pictures_may_differ_is_read_from_the_records() -> None:
    here = environment(device="NVIDIA L4", threads=None, versions={"torch": "2.14.0", "cuda": "12.8"})
    first = draw_conditions(resumes=(Resume(step=3, before=environment(device="NVIDIA T4")),))
    again = draw_conditions(environment=here, weights={"unet/diffusion_pytorch_model.safetensors": "ff" * 32})
    found = compared(of(file_of(**dict(first))), of(file_of(**dict(again))))
    assert [difference.field for difference in found.record_differences] == [
        "drawn_elsewhere_first",
        "environment.device",
        "environment.threads",
        "environment.versions.cuda",
        "environment.versions.darkroom",
        "environment.versions.python",
        "environment.versions.torch",
        "weights.unet/diffusion_pytorch_model.safetensors",
    ]
    device = found.record_differences[1]
    assert (device.file, device.again) == ("cpu", "NVIDIA L4")


def test_a_verification_asks_for_this_very_image() -> None:
    stage = Stage()
    drawn = task_json("completed", images=[STORED | _described(file_of())])
    played = stage.play(
        verify(stage.calls, of(file_of()), None), answer(drawn, 202), httpx.Response(200, content=file_of())
    )
    assert played.result.bit_equal
    asked = json.loads(played.requests[0].content)
    assert asked == json.loads(
        Task.model_validate(drawn).parameters.model_dump_json(exclude={"negative_prompt"})
    ) | {
        "width": SIDE,
        "height": SIDE,
    }


def _described(data: bytes) -> dict[str, Any]:
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class TestCommand:
    """`darkroom verify --against`, which sends no requests."""

    def verify(self, darkroom: Terminal, folder: Path, image: bytes, again: bytes, *words: str) -> Any:
        one, other = folder / "one.png", folder / "other.png"
        one.write_bytes(image)
        other.write_bytes(again)
        return darkroom("verify", str(one), "--against", str(other), *words)

    def test_equal(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), file_of())
        assert (code, out) == (
            ExitCode.DONE,
            f"{tmp_path / 'one.png'} is bit-equal to the same image drawn again.\n",
        )

    def test_different(self, darkroom: Terminal, tmp_path: Path) -> None:
        again = changed(PIXELS, {0: PIXELS[0] + 3})
        drawn_there = file_of(
            again, batches=(1,) * 8 + (2,) * 12, environment=environment(device="NVIDIA\x1b[2J")
        )
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), drawn_there)
        assert code == ExitCode.DIFFERENT
        assert (
            "0.0244 % of the pixels differ, by at most 3, 0, 0 of 255 (red, green, blue); PSNR 79.5 dB" in out
        )
        assert "  batches  1 ×20 → 1 ×8, 2 ×12\n" in out
        assert "  environment.device  cpu → NVIDIA\\x1b[2J\n" in out

    def test_for_programs(self, darkroom: Terminal, tmp_path: Path) -> None:
        again = changed(PIXELS, {0: PIXELS[0] + 3})
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), file_of(again), "--json")
        told = json.loads(out)
        assert (code, told["bit_equal"], told["difference"]["largest"]) == (
            ExitCode.DIFFERENT, False, [3, 0, 0],
        )  # fmt: skip

    def test_no_record(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, err = self.verify(darkroom, tmp_path, plain_png(), file_of())
        assert (code, out) == (ExitCode.NO_RECORD, "")
        assert "holds no record" in err

    def test_edited(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, err = self.verify(darkroom, tmp_path, edited(file_of()), file_of())
        assert (code, out) == (ExitCode.EDITED, "")
        assert "was edited" in err
