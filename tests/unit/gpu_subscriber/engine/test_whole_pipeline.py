"""A pipeline class without a family: drawn whole, but reported, interrupted and guarded as usual."""

from typing import Any

import numpy as np
import pytest
import torch

from common.domain.parameters import Sampler
from common.domain.task import Lane
from gpu_subscriber.engine.errors import EngineError
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import (
    ImageReady,
    Interrupt,
    PreviewReady,
    RunFailed,
    RunInterrupted,
)
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing


def whole_drawing(**changes: Any) -> Any:
    return drawing(sampler=Sampler.LCM, **changes)


def stock_pixels(whole: WholePipeline, **call: Any) -> np.ndarray:
    whole.pipeline.scheduler = type(whole.pipeline.scheduler).from_config(whole.pipeline.scheduler.config)
    image = whole.pipeline(
        "a red fox",
        width=32,
        height=32,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(7),
        **call,
    ).images[0]
    return np.asarray(image)


def test_whole_pipeline_equals_the_stock_call(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.draw("run", whole_drawing())
    assert np.array_equal(driven.picture("run"), stock_pixels(whole))


def test_whole_pipeline_reports_steps_and_previews(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.draw("run", whole_drawing())
    assert driven.steps_of("run") == [1, 2, 3, 4]
    assert driven.of_kind(PreviewReady, "run")


def test_whole_pipeline_is_interrupted_during_an_image(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)

    def hear() -> None:
        if driven.steps_of("run") == [1, 2]:
            driven.engine.receive(Interrupt(run_id="run"))

    driven.engine._pump = hear
    driven.start("run", whole_drawing())
    driven.start("next", whole_drawing())
    driven.run_to_end()
    (stopped,) = driven.of_kind(RunInterrupted)
    assert (stopped.run_id, stopped.step) == ("run", 2)
    assert np.array_equal(driven.picture("next"), stock_pixels(whole))


def test_run_behind_a_whole_pipeline_can_be_interrupted(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.engine._pump = lambda: driven.engine.receive(Interrupt(run_id="waiting"))
    driven.start("run", whole_drawing())
    driven.start("waiting", whole_drawing())
    driven.run_to_end()
    assert [message.run_id for message in driven.of_kind(RunInterrupted)] == ["waiting"]
    (image,) = driven.of_kind(ImageReady)
    assert image.run_id == "run"
    assert image.times.seconds_of(image.times.steps) == pytest.approx(image.gpu_seconds)


def test_whole_pipeline_does_not_starve_shared_runs(whole: WholePipeline, stock: Any) -> None:
    driven = DrivenEngine({"tiny": RecordingFamily(stock), "whole": whole}, loaded_models=2)
    driven.engine._pump = lambda: driven.pass_time(1.0)
    driven.model_cache.get("tiny")
    driven.model_cache.get("whole")
    for number in range(2):
        driven.start(f"whole-{number}", whole_drawing(model="whole"), queued_at=number)
    driven.start("stepping", drawing(), queued_at=0.5)
    driven.start("batch", whole_drawing(model="whole"), lane=Lane.BATCH, queued_at=-1.0)
    driven.run_to_end()
    drawn = driven.drawn_runs
    assert drawn == ["whole-0", "stepping", "whole-1", "batch"]


def test_whole_pipelines_failure_fails_only_its_run(whole: WholePipeline) -> None:
    driven = DrivenEngine(whole)
    driven.start("odd", whole_drawing(width=30))
    driven.start("good", whole_drawing())
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["odd"], ["good"])


def test_only_arguments_of_the_call_are_passed() -> None:
    calls: list[dict[str, Any]] = []

    class NoNegatives:
        """A foreign pipeline class whose call accepts few arguments."""

        device = torch.device("cpu")
        scheduler = None

        def set_progress_bar_config(self, **_: Any) -> None: ...

        def __call__(self, prompt: str, num_inference_steps: int, generator: Any, output_type: str) -> Any:
            calls.append({"prompt": prompt, "steps": num_inference_steps, "output_type": output_type})

            class Output:
                images = (np.full((16, 24, 3), 0.5, np.float32),)

            return Output()

    class Scheduled(NoNegatives):
        def __init__(self, scheduler: Any) -> None:
            self.scheduler = scheduler

    from diffusers import FlowMatchEulerDiscreteScheduler

    own = FlowMatchEulerDiscreteScheduler()
    pipeline = Scheduled(own)
    wanted = drawing(sampler=Sampler.OWN, width=24, height=16)
    drawn = WholePipeline(pipeline).generate(wanted, seed=0, on_step=lambda *_: None)
    assert calls[:1] == [{"prompt": "a red fox", "steps": 4, "output_type": "np"}]
    assert drawn.pixels.shape == (16, 24, 3)
    with pytest.raises(EngineError, match="instead of the requested one"):
        WholePipeline(pipeline).generate(drawing(sampler=Sampler.OWN), seed=0, on_step=lambda *_: None)
    with pytest.raises(EngineError, match="does not support the sampler 'ddim'"):
        WholePipeline(pipeline).generate(drawing(), seed=0, on_step=lambda *_: None)
    assert set(drawn.pixels.flatten().tolist()) == {128}
    assert pipeline.scheduler is own


def test_non_finite_pixels_never_become_an_image(
    whole: WholePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN survives the stock pipeline's own clamping to 0 and 1; infinities become white or black."""
    real = whole.pipeline.vae.decode
    monkeypatch.setattr(
        whole.pipeline.vae, "decode", lambda *args, **named: (real(*args, **named)[0] * float("nan"),)
    )
    driven = DrivenEngine(whole)
    driven.draw("run", whole_drawing())
    assert driven.of_kind(RunFailed)[0].failure.code == "invalid_output"
