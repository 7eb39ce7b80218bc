"""The image classifier: what a refused image means for its Run, and how the safety checker reads images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor

from common.domain.task import Lane
from common.settings import SettingsError
from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine.content_policy.safety_checker import SafetyChecker
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.main_loop import serve
from gpu_subscriber.engine.messages import (
    FromEngine,
    ImageReady,
    PreviewReady,
    RunFailed,
    Shutdown,
    Start,
    ToEngine,
)
from gpu_subscriber.settings import WorkerSettings
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_safety_checker

CPU = torch.device("cpu")
SIDE = 32


class RefusesNumber:
    """Refuses one image, by its number in order of decoding."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        assert (pixels.shape[-1], pixels.dtype) == (3, torch.uint8)
        self.seen += 1
        return torch.tensor(self.seen == self.number)


class ScriptedPipe:
    """Starts one Run, and shuts the engine down after its answer."""

    def __init__(self) -> None:
        start = Start(run_id="run", parameters=drawing(), index=0, lane=Lane.INTERACTIVE, queued_at=0.0)
        self.inbox: list[ToEngine] = [start]
        self.sent: list[FromEngine] = []

    def send(self, message: FromEngine) -> None:
        self.sent.append(message)
        if isinstance(message, RunFailed | ImageReady):
            self.inbox.append(Shutdown())

    def receive(self, **_: Any) -> ToEngine | None:
        return self.inbox.pop(0) if self.inbox else None


def served(model: Path, classifier: Path) -> tuple[int, list[FromEngine]]:
    """Return the exit code of an engine with this classifier, and what it sent."""
    pipe: Any = ScriptedPipe()
    settings = EngineSettings(
        models=(spec(source=str(model)),),
        device="cpu",
        cpu_threads=1,
        niceness=0,
        measure_at_start=False,
        image_classifier=classifier,
    )
    return serve(pipe, settings), pipe.sent


def refuse_all(_: torch.Tensor) -> torch.Tensor:
    return torch.tensor(True)


def fail(_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("the classifier is broken")


def picture(height: int, width: int) -> torch.Tensor:
    noise = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    resized = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("checkers")
    return {refuses: tiny_safety_checker(folder / str(refuses), refuses=refuses) for refuses in (True, False)}


def test_refused_image_fails_its_run_and_no_other(stock: Any) -> None:
    driven = DrivenEngine(StableDiffusion(stock), classify=RefusesNumber(2))
    driven.start_runs(3)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["1"], ["0", "2"])
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.failure.code, failed.failure.retryable) == ("content_filtered", False)
    assert failed.gpu_seconds >= 0


def test_refused_image_of_a_whole_pipeline_fails_its_run(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole, classify=refuse_all)
    driven.start("run", drawing(sampler="lcm"))
    driven.run_to_end()
    (failed,) = driven.of_kind(RunFailed)
    assert failed.failure.code == "content_filtered"


def test_image_is_not_delivered_when_the_classifier_fails(stock: Any) -> None:
    driven = DrivenEngine(StableDiffusion(stock), classify=fail)
    driven.start_runs(2)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["0", "1"], [])
    assert {failed.failure.code for failed in driven.of_kind(RunFailed)} == {"generation_failed"}


def test_no_previews_are_made_with_a_classifier(stock: Any) -> None:
    for folder, has_previews in ((None, True), (Path("/checker"), False)):
        driven = DrivenEngine(StableDiffusion(stock), image_classifier=folder)
        driven.draw("run", drawing(steps=8))
        assert bool(driven.of_kind(PreviewReady)) == has_previews


@pytest.mark.parametrize("refuses", [True, False])
def test_safety_checker_refuses_by_the_concepts_of_its_folder(
    folders: dict[bool, Path], *, refuses: bool
) -> None:
    checker = SafetyChecker.loaded(folders[refuses], CPU)
    assert [bool(checker(picture(64, width))) for width in (64, 200)] == [refuses] * 2


def test_safety_checker_reads_a_square_as_clip_does(folders: dict[bool, Path]) -> None:
    checker = SafetyChecker.loaded(folders[False], CPU)
    size: Any = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    image = picture(96, 96)
    expected = CLIPImageProcessor(**size)(Image.fromarray(image.numpy()), return_tensors="pt")["pixel_values"]
    assert (checker.squares_of(image) - expected).abs().max() < 0.05


@pytest.mark.parametrize(("height", "width", "count"), [(64, 64, 1), (64, 72, 2), (256, 64, 4), (24, 16, 2)])
def test_squares_cover_an_image_of_any_shape(
    folders: dict[bool, Path], height: int, width: int, count: int
) -> None:
    checker = SafetyChecker.loaded(folders[False], CPU)
    assert checker.squares_of(picture(height, width)).shape == (count, 3, SIDE, SIDE)
    for top, left in ((0, 0), (height - 8, width - 8)):
        marked = torch.zeros(height, width, 3, dtype=torch.uint8)
        marked[top : top + 8, left : left + 8] = 255
        assert checker.squares_of(marked).max() > checker.squares_of(torch.zeros_like(marked)).max()


def test_weights_with_the_names_of_older_versions_are_loaded(
    folders: dict[bool, Path], tmp_path: Path
) -> None:
    weights = load_file(folders[True] / "model.safetensors")
    older = {
        name.replace("vision_model.", "vision_model.vision_model."): value for name, value in weights.items()
    }
    _stored(tmp_path, older, like=folders[True])
    image = picture(64, 64)
    assert bool(SafetyChecker.loaded(tmp_path, CPU)(image))


def test_safety_checker_without_all_weights_is_refused(folders: dict[bool, Path], tmp_path: Path) -> None:
    weights = load_file(folders[True] / "model.safetensors")
    del weights["concept_embeds"]
    _stored(tmp_path, weights, like=folders[True])
    with pytest.raises(ValueError, match="lacks 1 weights of a safety checker, such as concept_embeds"):
        SafetyChecker.loaded(tmp_path, CPU)


def test_safety_checker_with_weights_that_are_not_finite_is_refused(
    folders: dict[bool, Path], tmp_path: Path
) -> None:
    weights = load_file(folders[True] / "model.safetensors")
    weights["concept_embeds"][0, 0] = torch.nan
    _stored(tmp_path, weights, like=folders[True])
    with pytest.raises(ValueError, match="has weights of a safety checker that are not finite"):
        SafetyChecker.loaded(tmp_path, CPU)


def test_image_whose_embedding_is_not_finite_is_refused(folders: dict[bool, Path]) -> None:
    """A comparison with such a number is false: the image would pass."""
    checker = SafetyChecker.loaded(folders[False], CPU)
    image = picture(64, 64)
    assert not bool(checker(image))
    checker._model.visual_projection.weight.data[0, 0] = torch.inf
    assert bool(checker(image))


def test_engine_checks_images_with_the_classifier_of_its_settings(
    stable_diffusion_folder: Path, folders: dict[bool, Path]
) -> None:
    code, sent = served(stable_diffusion_folder, folders[True])
    (failed,) = [message for message in sent if isinstance(message, RunFailed)]
    assert (code, failed.failure.code) == (exit_codes.STOPPED, "content_filtered")
    code, sent = served(stable_diffusion_folder, folders[False])
    assert (code, any(isinstance(message, ImageReady) for message in sent)) == (exit_codes.STOPPED, True)


def test_engine_does_not_start_without_its_classifier(stable_diffusion_folder: Path, tmp_path: Path) -> None:
    assert served(stable_diffusion_folder, tmp_path) == (exit_codes.ENGINE_BROKEN, [])


def _stored(folder: Path, weights: dict[str, torch.Tensor], *, like: Path) -> None:
    (folder / "config.json").write_text(json.dumps(json.loads((like / "config.json").read_text())))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_settings_refuse_a_folder_without_a_safety_checker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: dict[bool, Path]
) -> None:
    monkeypatch.setenv("DARKROOM_IMAGE_CLASSIFIER", str(tmp_path))
    with pytest.raises(
        SettingsError, match="DARKROOM_IMAGE_CLASSIFIER: must be the absolute path of a folder"
    ):
        WorkerSettings()
    monkeypatch.setenv("DARKROOM_IMAGE_CLASSIFIER", str(folders[True]))
    assert WorkerSettings().image_classifier == folders[True]
