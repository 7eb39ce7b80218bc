"""Records in image files, and comparison with an image that was generated again."""

import asyncio
import hashlib
import io
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from common.domain.parameters import OutputFormat
from common.domain.provenance import Resume
from darkroom import (
    AsyncClient,
    Client,
    ClientError,
    EditedImageError,
    NoImageRecordError,
    read_image_record,
)
from darkroom.cli import options
from darkroom.cli.exit_codes import ExitCode
from darkroom.image_files import RecordedImage
from darkroom.pictures import PICTURE_FIELDS
from darkroom.retrying import RetryPolicy
from darkroom.verification import compare, verify
from gpu_subscriber.images.encoding import encode_image, recorded
from gpu_subscriber.images.record import encode_image_record
from scripted import ScriptedApi, reply, task_json
from terminal import Terminal
from tests.factories import draw_conditions, environment, parameters
from tests.pictures import png_with_an_empty_profile

SIDE = 64
PIXELS = bytes(value % 251 for value in range(SIDE * SIDE * 3))


def file_of(
    pixels: bytes = PIXELS,
    output_format: OutputFormat = OutputFormat.PNG,
    *,
    asked: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> bytes:
    """Return a file as a worker writes it."""
    own = parameters(width=SIDE, height=SIDE, output_format=output_format, **asked)
    record = recorded(
        pixels, (SIDE, SIDE), own, draw_conditions(**changes), task_id="task-1", index=0, attempt=1
    )
    return encode_image(pixels, (SIDE, SIDE), record)


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
def test_record_round_trips_what_the_worker_wrote(output_format: OutputFormat, tmp_path: Path) -> None:
    resume = Resume(step=7, before=environment(device="NVIDIA L4"))
    own = parameters(prompt="größe \"東京\" 'a' <&> 🎨", width=SIDE, height=SIDE, output_format=output_format)
    conditions = draw_conditions(revision="f06ba9a1", resumes=(resume,))
    written = recorded(PIXELS, (SIDE, SIDE), own, conditions, task_id="task-1", index=2, attempt=3)
    path = tmp_path / "image"
    path.write_bytes(encode_image(PIXELS, (SIDE, SIDE), written))
    record = read_image_record(path)
    assert json.loads(record.model_dump_json(exclude_unset=True)) == json.loads(encode_image_record(written))
    assert not RecordedImage.read(path).is_edited


@pytest.mark.parametrize("output_format", OutputFormat)
def test_edited_image_is_detected(output_format: OutputFormat) -> None:
    data = edited(file_of(output_format=output_format))
    assert read_image_record(data).task_id == "task-1"
    with pytest.raises(EditedImageError, match="was edited"):
        RecordedImage.read_unedited(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", plain_png(), plain_png(darkroom="{}"), plain_png(darkroom='{"version": "2.0"}')],
    ids=["empty", "text", "foreign", "incomplete", "newer version"],
)
def test_file_without_a_record_is_refused(data: bytes) -> None:
    with pytest.raises(NoImageRecordError):
        read_image_record(data)


def test_record_may_have_an_infinite_setting_of_the_sampler() -> None:
    config = {"class": "DPMSolverMultistepScheduler", "lambda_min_clipped": -math.inf}
    assert read_image_record(file_of(sampler_config=config)).provenance.sampler_config == config


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged metadata
@pytest.mark.parametrize("output_format", OutputFormat)
def test_damaged_file_raises_an_error_of_the_sdk(output_format: OutputFormat) -> None:
    whole = file_of(output_format=output_format)
    for length in range(0, len(whole), 7):
        for damaged in (whole[:length], whole[:length] + b"\xff" * 4 + whole[length + 4 :]):
            with suppress(ClientError):
                RecordedImage.read_unedited(damaged)


def test_png_with_an_empty_profile_has_no_record(tmp_path: Path, darkroom: Terminal) -> None:
    path = tmp_path / "damaged.png"
    path.write_bytes(png_with_an_empty_profile())
    with pytest.raises(NoImageRecordError):
        read_image_record(path)
    assert darkroom("verify", str(path))[0] == ExitCode.NO_RECORD


def of(data: bytes) -> RecordedImage:
    return RecordedImage.read_unedited(data)


def test_compare_is_bit_equal_when_only_the_records_differ() -> None:
    result = compare(of(file_of()), of(file_of(batches=(2,) * 20)))
    assert result.bit_equal
    assert (result.difference.largest, result.difference.share_of_pixels) == ((0, 0, 0), 0.0)
    assert result.difference.psnr_db is None
    (only,) = result.record_differences
    assert (only.field, only.file, only.again) == ("batches", [1] * 20, [2] * 20)


def test_compare_measures_differences() -> None:
    again = changed(PIXELS, {0: PIXELS[0] + 3, 4: PIXELS[4] + 1})
    result = compare(of(file_of()), of(file_of(again)))
    assert not result.bit_equal
    assert result.difference.largest == (3, 1, 0)
    assert result.difference.share_of_pixels == pytest.approx(2 / SIDE**2)
    assert result.difference.psnr_db == pytest.approx(79.0, abs=0.1)  # 10 log10(255² · 3 · 64² / (3² + 1²))
    assert result.record_differences == ()


def test_compare_uses_the_pixels_before_compression() -> None:
    again = changed(PIXELS, {0: PIXELS[0] + 1})
    result = compare(of(file_of(output_format=OutputFormat.WEBP)), of(file_of(again, OutputFormat.WEBP)))
    assert not result.bit_equal
    assert max(result.difference.largest) < 10


def test_compare_lists_differences_of_the_records() -> None:
    here = environment(device="NVIDIA L4", threads=None, versions={"torch": "2.14.0", "cuda": "12.8"})
    first = draw_conditions(resumes=(Resume(step=3, before=environment(device="NVIDIA T4")),))
    again = draw_conditions(environment=here, weights={"unet/diffusion_pytorch_model.safetensors": "ff" * 32})
    result = compare(of(file_of(**dict(first))), of(file_of(**dict(again))))
    assert [difference.field for difference in result.record_differences] == [
        "earlier_devices",
        "environment.device",
        "environment.threads",
        "environment.versions.cuda",
        "environment.versions.darkroom",
        "environment.versions.python",
        "environment.versions.torch",
        "weights.unet/diffusion_pytorch_model.safetensors",
    ]
    device = result.record_differences[1]
    assert (device.file, device.again) == ("cpu", "NVIDIA L4")


def test_compare_names_differences_of_the_parameters_first() -> None:
    one, other = (
        of(file_of(asked={"prompt": prompt, "steps": steps, "seed": steps}))
        for prompt, steps in (("a fox", 4), ("a hare", 9))
    )
    names = [difference.field for difference in compare(one, other).record_differences]
    assert names == ["prompt", "steps", "seed"]


STORED = {
    "index": 0, "url": "/v1/tasks/task-1/images/0", "width": SIDE, "height": SIDE, "seed": 12_345,
    "content_type": "image/png", "size_bytes": len(file_of()), "sha256": hashlib.sha256(file_of()).hexdigest(),
}  # fmt: skip


def test_verify_submits_the_parameters_of_the_record() -> None:
    api = ScriptedApi()
    completed = task_json("completed", images=[STORED])
    recording = api.run(
        verify(api.calls, of(file_of()), idempotency_key=None, timeout_seconds=None),
        reply(completed, 202),
        httpx.Response(200, content=file_of()),
    )
    assert recording.result.bit_equal
    submitted = json.loads(recording.requests[0].content)
    stated = {name: value for name, value in completed["parameters"].items() if value is not None}
    assert submitted == {**stated, "width": SIDE, "height": SIDE}


def test_verify_without_an_image_of_the_task_raises() -> None:
    api = ScriptedApi()
    with pytest.raises(NoImageRecordError):
        api.run(
            verify(api.calls, of(file_of()), idempotency_key=None, timeout_seconds=None),
            reply(task_json("completed"), 202),
        )


def hostile(field: str, value: str) -> bytes:
    """Return an unedited image whose record has another value in a field of a picture."""
    file, chunks = io.BytesIO(), PngInfo()
    with Image.open(io.BytesIO(file_of())) as image:
        record = json.loads(image.info["darkroom"])
        record["parameters"][field] = value
        chunks.add_itxt("darkroom", json.dumps(record))
        image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@pytest.mark.parametrize("field", PICTURE_FIELDS)
@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "asynchronous"])
def test_verify_uploads_no_file_that_a_record_names(tmp_path: Path, field: str, *, is_async: bool) -> None:
    private = tmp_path / "id_ed25519"
    private.write_text("a private key")
    image, sent = hostile(field, str(private)), []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return reply(None, 500)

    def verify_image() -> object:
        transport = httpx.MockTransport(respond)
        if is_async:
            return asyncio.run(AsyncClient("http://localhost", transport=transport).verify(image))
        return Client("http://localhost", transport=transport).verify(image)

    with pytest.raises(NoImageRecordError):
        verify_image()
    assert sent == []


def test_verify_names_the_task_whose_image_has_no_record() -> None:
    bare = plain_png()
    stored = {**STORED, "size_bytes": len(bare), "sha256": hashlib.sha256(bare).hexdigest()}
    api = ScriptedApi()
    with pytest.raises(NoImageRecordError, match="task-1") as caught:
        api.run(
            verify(api.calls, of(file_of()), idempotency_key="k", timeout_seconds=None),
            reply(task_json("completed", images=[stored]), 202),
            httpx.Response(200, content=bare),
        )
    error = caught.value
    assert (error.task_id, error.idempotency_key, error.outcome_is_unknown) == ("task-1", "k", True)


@pytest.mark.parametrize("is_async", [False, True])
def test_verify_sends_the_key_of_its_caller(is_async: bool) -> None:
    keys: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx.Response(401)

    def verify_image() -> Any:
        transport = httpx.MockTransport(refuse)
        if is_async:
            return asyncio.run(AsyncClient(transport=transport).verify(file_of(), idempotency_key="k"))
        return Client(transport=transport).verify(file_of(), idempotency_key="k")

    with pytest.raises(ClientError):
        verify_image()
    assert keys == ["k"]


def test_command_prints_the_key_that_repeats_a_lost_verification(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys: list[str] = []

    def lose(_transport: object, request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        raise httpx.ReadTimeout("no response", request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lose)
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=0))
    image = tmp_path / "cat.png"
    image.write_bytes(file_of())
    code, _, err = darkroom("verify", str(image))
    assert code == ExitCode.UNAVAILABLE
    assert f"--idempotency-key {keys[0]}" in err
    darkroom("verify", str(image), "--idempotency-key", keys[0])
    assert keys == [keys[0]] * 2


def test_verify_refers_to_inputs_by_their_ids() -> None:
    api, digest = ScriptedApi(), "0f" * 32
    completed = task_json("completed", images=[STORED])
    recording = api.run(
        verify(api.calls, of(hostile("image", digest)), idempotency_key=None, timeout_seconds=None),
        reply(completed, 202),
        httpx.Response(200, content=file_of()),
    )
    assert json.loads(recording.requests[0].content)["image"] == digest


def test_command_uploads_no_file_that_a_record_names(darkroom: Terminal, tmp_path: Path) -> None:
    private, image = tmp_path / "id_ed25519", tmp_path / "cat.png"
    private.write_text("a private key")
    image.write_bytes(hostile("image", str(private)))
    code, out, err = darkroom("verify", str(image))
    assert (code, out) == (ExitCode.NO_RECORD, "")
    assert "has no darkroom record" in err


class TestCommand:
    """`darkroom verify --against`, which sends no requests."""

    def verify(self, darkroom: Terminal, folder: Path, image: bytes, again: bytes, *words: str) -> Any:
        one, other = folder / "one.png", folder / "other.png"
        one.write_bytes(image)
        other.write_bytes(again)
        return darkroom("verify", str(one), "--against", str(other), *words)

    def test_bit_equal_images_exit_with_success(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), file_of())
        assert (code, out) == (
            ExitCode.SUCCESS,
            f"{tmp_path / 'one.png'} and the image generated again are bit-identical.\n",
        )

    def test_different_images_show_the_causes(self, darkroom: Terminal, tmp_path: Path) -> None:
        again = changed(PIXELS, {0: PIXELS[0] + 3})
        on_other_device = file_of(
            again, batches=(1,) * 8 + (2,) * 12, environment=environment(device="NVIDIA\x1b[2J")
        )
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), on_other_device)
        assert code == ExitCode.DIFFERENT
        assert "in 0.0244 % of the pixels, by at most 3, 0, 0 of 255 (red, green, blue); PSNR 79.5 dB" in out
        assert "  batches  1 ×20 → 1 ×8, 2 ×12\n" in out
        assert "  environment.device  cpu → NVIDIA\\x1b[2J\n" in out

    def test_json_output(self, darkroom: Terminal, tmp_path: Path) -> None:
        again = changed(PIXELS, {0: PIXELS[0] + 3})
        code, out, _ = self.verify(darkroom, tmp_path, file_of(), file_of(again), "--json")
        comparison = json.loads(out)
        assert (code, comparison["bit_equal"], comparison["difference"]["largest"]) == (
            ExitCode.DIFFERENT, False, [3, 0, 0],
        )  # fmt: skip

    def test_file_without_record_has_its_exit_code(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, err = self.verify(darkroom, tmp_path, plain_png(), file_of())
        assert (code, out) == (ExitCode.NO_RECORD, "")
        assert "has no darkroom record" in err

    def test_edited_file_has_its_exit_code(self, darkroom: Terminal, tmp_path: Path) -> None:
        code, out, err = self.verify(darkroom, tmp_path, edited(file_of()), file_of())
        assert (code, out) == (ExitCode.EDITED, "")
        assert "was edited" in err
