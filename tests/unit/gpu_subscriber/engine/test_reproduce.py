"""An image redrawn from its record: bit for bit, whatever Runs shared its steps, resumed or not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.domain.models.catalog import DEMO_MODEL
from common.domain.parameters import Sampler
from darkroom.image_files import RecordedImage
from darkroom.verification import compare
from gpu_subscriber import reproduce
from gpu_subscriber.engine.errors import EngineError
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import ImageReady, RunInterrupted
from gpu_subscriber.engine.reproduce import generate_like, load_like
from gpu_subscriber.images.encoding import encode_image, recorded
from tests.factories import draw_conditions, environment, parameters
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.families.pictures import MASK, PICTURE, inputs_of


def drawn_image(driven: DrivenEngine, run_id: str) -> ImageReady:
    (image,) = driven.of_kind(ImageReady, run_id)
    assert isinstance(image, ImageReady)
    return image


@pytest.mark.parametrize("sampler", [Sampler.EULER_ANCESTRAL, Sampler.UNIPC, Sampler.PNDM])
def test_shared_and_resumed_run_is_reproduced_bit_equal(stock: Any, sampler: Sampler) -> None:
    wanted = drawing(steps=6, sampler=sampler)
    first = DrivenEngine(StableDiffusion(stock))
    first.start("wanted", wanted)
    first.step(2)
    first.start("other", drawing(steps=6, seed=8))
    first.step(2)
    first.interrupt("wanted", want_checkpoint=True)
    second = DrivenEngine(StableDiffusion(stock))
    second.start("wanted", wanted, checkpoint=first.of_kind(RunInterrupted)[0].checkpoint)
    for seed in (9, 10):
        second.start(str(seed), drawing(steps=6, seed=seed))
    second.run_to_end()
    image = drawn_image(second, "wanted")
    assert set(image.draw_conditions.batches) == {1, 2, 3}

    pixels, conditions = generate_like(StableDiffusion(stock), wanted, image.draw_conditions)
    assert pixels == image.pixels
    assert conditions.batches == image.draw_conditions.batches


def test_image_from_a_picture_is_reproduced_bit_equal(stock: Any) -> None:
    fields = {"image": PICTURE, "mask_image": MASK, "strength": 0.7}
    wanted = drawing(steps=6, sampler=Sampler.EULER_ANCESTRAL).model_copy(update=fields)
    inputs = inputs_of(wanted)
    driven = DrivenEngine(StableDiffusion(stock))
    driven.start("wanted", wanted, inputs=inputs)
    driven.start("text", drawing(steps=3))
    driven.run_to_end()
    image = drawn_image(driven, "wanted")
    pixels, _ = generate_like(StableDiffusion(stock), wanted, image.draw_conditions, inputs)
    assert pixels == image.pixels


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "add --input FILE"),
        (["--input", "other.png"], "is another picture than the one with the SHA-256"),
    ],
)
def test_reproduce_command_states_the_picture_that_it_needs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    reason: str,
) -> None:
    wanted = parameters(width=64, height=64).model_copy(update={"image": PICTURE, "strength": 0.7})
    pixels = bytes(3 * 64 * 64)
    said = recorded(pixels, (64, 64), wanted, draw_conditions(), task_id="task-1", index=0, attempt=1)
    (tmp_path / "image.png").write_bytes(encode_image(pixels, (64, 64), said))
    (tmp_path / "other.png").write_bytes(b"other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce", "image.png", "again.png", *options])
    assert reproduce.main() == 1
    printed = capsys.readouterr().err
    assert reason in printed
    assert PICTURE in printed


def test_whole_pipelines_image_is_reproduced_bit_equal(whole: WholePipeline) -> None:
    wanted = drawing(steps=3, sampler=Sampler.LCM)
    driven = DrivenEngine(whole)
    driven.draw("run", wanted)
    image = drawn_image(driven, "run")
    assert generate_like(whole, wanted, image.draw_conditions) == (image.pixels, image.draw_conditions)


@pytest.mark.parametrize("batches", [(), (1,) * 1_000, (1, 1, 1, 10**9)])
def test_impossible_step_history_is_refused(stock: Any, batches: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="the record has"):
        generate_like(StableDiffusion(stock), drawing(steps=4), draw_conditions(batches=batches))


def test_model_is_loaded_as_recorded(one_thread: None) -> None:
    there = environment(threads=1, channels_last=("unet",))
    here = load_like(DEMO_MODEL, there).origin.environment
    assert (here.threads, here.channels_last, here.dtype) == (1, ("unet",), "float32")


def test_reproduce_command_writes_a_comparable_image(tmp_path: Path) -> None:
    """The real command in its own process: the demo model, from file to file."""
    there = environment(threads=1, channels_last=("unet",))
    family = load_like(DEMO_MODEL, there)
    wanted = parameters(steps=2, width=64, height=64)
    pixels, conditions = generate_like(family, wanted, draw_conditions(batches=(2, 1)))
    said = recorded(pixels, (64, 64), wanted, conditions, task_id="task-1", index=0, attempt=1)
    image, again = tmp_path / "image.png", tmp_path / "again.png"
    image.write_bytes(encode_image(pixels, (64, 64), said))
    command = [sys.executable, "-m", "gpu_subscriber.reproduce", str(image), str(again)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    found = compare(RecordedImage.read_unedited(image), RecordedImage.read_unedited(again))
    assert found.bit_equal
    assert found.record_differences == ()


def test_reproduce_command_reports_why_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, again = tmp_path / "image.png", tmp_path / "again.png"
    image.write_bytes(b"no image")
    monkeypatch.setattr(sys, "argv", ["redraw", str(image), str(again)])
    assert reproduce.main() == 1
    assert "no image with a record" in capsys.readouterr().err
    assert not again.exists()
