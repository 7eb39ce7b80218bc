"""Models that fail between loading and the end of the warm-up, in the real engine process."""

import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from common.domain.models.spec import ModelSpec
from common.domain.task import Failure
from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import EngineReady, ImageReady, RunFailed, Shutdown
from gpu_subscriber.engine.runs.latent_colours import LATENT_PREVIEW_FILE
from tests.unit.gpu_subscriber.engine.breaking_engine import BREAKING, run_breaking_engine
from tests.unit.gpu_subscriber.engine.driven_engine import drawing, spec
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture
from tests.unit.gpu_subscriber.engine.test_engine_process import Child, settings_for, start
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion


class BreakingChild(Child):
    """A spawned engine some of whose models break."""

    def __init__(self, settings: EngineSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=run_breaking_engine, args=(theirs, settings), daemon=True)
        self.process.start()
        theirs.close()

    def answer(self, run_id: str) -> Any:
        """Return the answer of this Run."""
        while True:
            message = self.next(ImageReady, RunFailed)
            if message.run_id == run_id:
                return message

    def ready_with(self, *broken: str) -> EngineReady:
        """Return the next report in which exactly these models are broken."""
        while True:
            ready: EngineReady = self.next(EngineReady)
            if {one.model for one in ready.broken} == set(broken):
                return ready


@contextmanager
def running(models: tuple[ModelSpec, ...], folder: Path, **changes: Any) -> Iterator[BreakingChild]:
    child = BreakingChild(settings_for(folder, models=models, model_switch_patience_seconds=0.0, **changes))
    try:
        yield child
    finally:
        if child.process.is_alive():
            child.pipe.send(Shutdown())
        child.process.join(60)


def models_of(folder: Path, *names: str) -> tuple[ModelSpec, ...]:
    return tuple(spec(name, source=str(folder)) for name in names)


def test_broken_model_fails_alone_at_every_stage(stable_diffusion_folder: Path, stock: Any) -> None:
    models = models_of(stable_diffusion_folder, "tiny", *BREAKING)
    with running(models, stable_diffusion_folder, measure_at_start=True) as child:
        ready = child.ready_with()
        child.pipe.send(start("neighbour", steps=40))
        for name in BREAKING:
            child.pipe.send(start(name, model=name))
        failures: dict[str, Failure] = {}
        image: ImageReady | None = None
        # The image may be the last answer, or one of the failures.
        while image is None or not set(BREAKING) == failures.keys() == {one.model for one in ready.broken}:
            message = child.next(ImageReady, RunFailed, EngineReady)
            if isinstance(message, ImageReady):
                image = message
            elif isinstance(message, EngineReady):
                ready = message
            else:
                failures[message.run_id] = message.failure
        assert {(failure.code, failure.retryable) for failure in failures.values()} == {
            ("model_unavailable", True)
        }
        assert failures["load"].message == "The worker could not load the model: load."
        pixels = np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)
        expected = stock_picture(stock, drawing(steps=40)).pixels.astype(int)
        assert np.abs(pixels.astype(int) - expected).max() <= 1
        assert ready.serves_any
        reasons = {broken.model: broken.reason for broken in ready.broken}
        assert reasons["load"] == "ArithmeticError: an error of a kind that no one expects"
        assert reasons["measure"] == "OutOfMemoryError: CUDA out of memory"
        child.pipe.send(start("afterwards"))
        assert isinstance(child.answer("afterwards"), ImageReady)


def test_unservable_folder_breaks_only_its_model(stable_diffusion_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    colours = copytree(stable_diffusion_folder, tmp_path / "colours")
    (colours / LATENT_PREVIEW_FILE).write_text(json.dumps({"weights": "red"}))
    widths = tiny_stable_diffusion(tmp_path / "widths", cross_attention_dim=48)
    models = (
        spec("empty", source=str(tmp_path / "empty")),
        spec("colours", source=str(colours)),
        spec("widths", source=str(widths)),
        spec("tiny", source=str(stable_diffusion_folder)),
    )
    with running(models, stable_diffusion_folder) as child:
        ready = child.next(EngineReady)
        reasons = {broken.model: broken.reason for broken in ready.broken}
        assert set(reasons) == {"empty", "colours", "widths"}
        assert "model_index.json" in reasons["empty"]
        child.pipe.send(start("run"))
        assert isinstance(child.answer("run"), ImageReady)


def test_engine_without_a_working_model_retries(stable_diffusion_folder: Path) -> None:
    with running(models_of(stable_diffusion_folder, "mended"), stable_diffusion_folder) as child:
        broken = child.next(EngineReady)
        assert not broken.serves_any
        assert broken.broken[0].reason == "OSError: the file system does not answer"
        assert child.ready_with().serves_any
        child.pipe.send(start("run", model="mended"))
        assert isinstance(child.answer("run"), ImageReady)


@pytest.mark.parametrize("names", [("lost",), ("tiny", "lost")])
def test_device_lost_while_loading_ends_the_engine(
    stable_diffusion_folder: Path, names: tuple[str, ...]
) -> None:
    with running(models_of(stable_diffusion_folder, *names), stable_diffusion_folder) as child:
        if len(names) > 1:
            child.next(EngineReady)
            child.pipe.send(start("run", model="lost"))
        assert child.end() == exit_codes.DEVICE_LOST
