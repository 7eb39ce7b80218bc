"""The engine on a real GPU: the same guarantees as on a CPU, and those that only a GPU can break.

Run manually on a machine with a GPU: `pytest -m gpu tests/gpu`. On other machines the tests are
skipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.graphed_passes import CudaGraphs
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import (
    CheckpointReady,
    FromEngine,
    ImageReady,
    PreviewReady,
    RunFailed,
    RunInterrupted,
    Start,
    StepDone,
)
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.step_engine import StepEngine
from gpu_subscriber.engine.tuning.cuda_graphs import choose_cuda_graphs
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import drawing, spec
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# Fused projections and channels-last convolutions round differently from stock. bfloat16 keeps 8
# bits, and an untrained network's image is all mid-tones, where each lost bit is about one level.
PIXEL_TOLERANCE = {"float32": 2, "bfloat16": 24}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stable_diffusion(tmp_path_factory.mktemp("tiny") / "stable-diffusion")


@pytest.fixture(params=["float32", "bfloat16"])
def settings(request: pytest.FixtureRequest, folder: Path) -> Iterator[EngineSettings]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield EngineSettings(models=(spec(source=str(folder)),), device="cuda", dtype=request.param)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class CudaEngine:
    """A step engine on the GPU that records its messages."""

    def __init__(self, settings: EngineSettings, *, measure: bool = False) -> None:
        self.device = Device.chosen(settings)
        self.caps = BatchCaps(max_batch=settings.max_batch)
        self.sent: list[FromEngine] = []
        model_cache = ModelCache(settings.models, self.device, load=load_family)
        family = model_cache.get("tiny")
        assert isinstance(family, GuidedFamily)
        self.family = family
        warm_up(family, settings.models[0], self.device, self.caps, measure=measure)
        self.engine = StepEngine(
            model_cache=model_cache,
            device=self.device,
            caps=self.caps,
            settings=settings,
            send=self.sent.append,
        )

    def start(self, start: Start) -> None:
        self.engine.receive(start)

    def run_to_end(self) -> None:
        while self.engine.is_busy:
            self.engine.advance()

    def of_kind(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]


def started(run_id: str, *, checkpoint: bytes | None = None, **changes: Any) -> Start:
    from common.domain.task import Lane

    return Start(
        run_id=run_id,
        parameters=drawing(**changes),
        index=0,
        lane=Lane.INTERACTIVE,
        queued_at=0.0,
        checkpoint=checkpoint,
    )


def test_mixed_batch_equals_the_stock_pipeline_on_cuda(settings: EngineSettings, folder: Path) -> None:
    stock: Any = DiffusionPipeline.from_pretrained(folder, dtype=getattr(torch, settings.dtype)).to("cuda")
    stock.set_progress_bar_config(disable=True)
    cuda = CudaEngine(settings)
    runs: dict[str, dict[str, Any]] = {
        str(sampler): {"sampler": sampler, "seed": number}
        for number, sampler in enumerate(DIFFUSION_SAMPLERS)
    }
    for run_id, changes in runs.items():
        cuda.start(started(run_id, **changes))
    cuda.run_to_end()
    assert cuda.of_kind(RunFailed) == []
    images = {message.run_id: message for message in cuda.of_kind(ImageReady)}
    for run_id, changes in runs.items():
        pixels = np.frombuffer(images[run_id].pixels, np.uint8).reshape(32, 32, 3).astype(int)
        expected = stock_picture(stock, drawing(**changes)).pixels.astype(int)
        assert np.abs(pixels - expected).max() <= PIXEL_TOLERANCE[settings.dtype], run_id
    assert cuda.of_kind(PreviewReady)


def test_checkpoint_resumes_bit_equal_on_cuda(settings: EngineSettings) -> None:
    whole, parts = CudaEngine(settings), CudaEngine(settings)
    for sampler in DIFFUSION_SAMPLERS:
        whole.start(started("whole", sampler=sampler, steps=6))
        whole.run_to_end()
        parts.start(started("first", sampler=sampler, steps=6))
        for _ in range(3):
            parts.engine.advance()
        parts.engine.interrupt_all(want_checkpoints=True)
        checkpoint = parts.of_kind(RunInterrupted)[-1].checkpoint
        parts.start(started("second", checkpoint=checkpoint, sampler=sampler, steps=6))
        parts.run_to_end()
        assert parts.of_kind(ImageReady)[-1].resumed_at_step == 3
        assert parts.of_kind(ImageReady)[-1].pixels == whole.of_kind(ImageReady)[-1].pixels, sampler


def test_image_that_does_not_fit_fails_alone_on_cuda(settings: EngineSettings) -> None:
    """A real allocation failure: the process may use almost nothing beyond the loaded model."""
    cuda = CudaEngine(settings)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + 64 * 2**20) / total))
    try:
        cuda.start(started("large", width=4096, height=4096, steps=1))
        cuda.start(started("small"))
        cuda.run_to_end()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [message.failure.code for message in cuda.of_kind(RunFailed)] == ["out_of_gpu_memory"]
    assert [message.run_id for message in cuda.of_kind(ImageReady)] == ["small"]


def test_batch_that_does_not_fit_is_halved_on_cuda(settings: EngineSettings) -> None:
    """A real allocation failure: memory for about three Runs when eight could share a step."""
    cuda = CudaEngine(settings)
    size: dict[str, Any] = {"width": 1024, "height": 1024, "steps": 2}
    cuda.start(started("alone", **size))
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    while cuda.of_kind(StepDone) == []:
        cuda.engine.advance()
    one_run = torch.cuda.max_memory_allocated() - before
    cuda.run_to_end()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 3 * one_run
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        runs = [started(str(number), seed=number, **size) for number in range(8)]
        for run in runs:
            cuda.start(run)
        cuda.run_to_end()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert cuda.of_kind(RunFailed) == []
    assert len(cuda.of_kind(ImageReady)) == 9
    assert 1 <= cuda.caps.cap_of(BatchKey.of(runs[0].parameters)) < 8


def test_measured_memory_predicts_a_larger_batch_on_cuda(settings: EngineSettings) -> None:
    model = spec(source=settings.models[0].source)
    model = model.model_copy(
        update={"defaults": model.defaults.model_copy(update={"width": 512, "height": 512})}
    )
    device = Device.chosen(settings)
    assert device.memory is not None
    caps = BatchCaps(max_batch=8, memory=device.memory)
    family = load_family(model, device)
    assert isinstance(family, GuidedFamily)
    warm_up(family, model, device, caps, measure=False)
    parameters = drawing(width=512, height=512)
    states = [family.prepare(parameters, seed=seed) for seed in range(4)]
    with torch.inference_mode():
        peak = device.memory.peak_bytes(lambda: family.predict(states))
    predicted = caps._needs[model.name].of_step(BatchKey.of(parameters), batch=4)
    assert predicted == pytest.approx(peak, rel=0.25)
    assert device.memory.free_bytes() <= torch.cuda.get_device_properties(0).total_memory


def test_periodic_checkpoints_are_complete_on_cuda(settings: EngineSettings) -> None:
    """The copies overlap with the next steps: they must contain the checkpoint's state."""
    cuda = CudaEngine(replace(settings, checkpoint_interval_seconds=1e-9))
    for sampler in DIFFUSION_SAMPLERS:
        cuda.sent.clear()
        cuda.start(started("long", sampler=sampler, steps=12))
        cuda.run_to_end()
        (image,) = cuda.of_kind(ImageReady)
        for checkpoint in cuda.of_kind(CheckpointReady):
            resuming = CudaEngine(settings)
            resuming.start(started("again", checkpoint=checkpoint.checkpoint, sampler=sampler, steps=12))
            resuming.run_to_end()
            (again,) = resuming.of_kind(ImageReady)
            assert again.resumed_at_step == checkpoint.step
            assert again.pixels == image.pixels, (sampler, checkpoint.step)


def test_no_sampler_waits_for_the_gpu(settings: EngineSettings) -> None:
    """torch raises at every operation that would wait, while steps in the middle of a Run are taken."""
    cuda = CudaEngine(settings)
    for sampler in DIFFUSION_SAMPLERS:
        cuda.start(started(str(sampler), sampler=sampler, steps=8))
        cuda.engine.advance()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(4):
                cuda.engine.advance()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        cuda.run_to_end()
    assert cuda.of_kind(RunFailed) == []


def test_replayed_steps_generate_the_same_images_on_cuda(settings: EngineSettings) -> None:
    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        return [0.5 if family.passes is not None else 1.0]

    plain, replayed = CudaEngine(settings), CudaEngine(settings)
    family = replayed.family
    with torch.inference_mode():
        choose_cuda_graphs(family, drawing(), replayed.device, CudaGraphs(), largest=3, timed=timed)
    assert family.passes is not None
    assert len(family.passes) == 3
    for cuda in (plain, replayed):
        for number in range(3):
            cuda.start(started(str(number), seed=number))
        cuda.run_to_end()
    images = [{one.run_id: one.pixels for one in cuda.of_kind(ImageReady)} for cuda in (plain, replayed)]
    assert images[0] == images[1]


def test_measured_choices_keep_the_image_on_cuda(settings: EngineSettings, folder: Path) -> None:
    """The memory format, the attention kernel and the batch sizes of the first load."""
    stock: Any = DiffusionPipeline.from_pretrained(folder, dtype=getattr(torch, settings.dtype)).to("cuda")
    stock.set_progress_bar_config(disable=True)
    cuda = CudaEngine(settings, measure=True)
    for number in range(4):
        cuda.start(started(str(number), seed=number))
    cuda.run_to_end()
    for image in cuda.of_kind(ImageReady):
        pixels = np.frombuffer(image.pixels, np.uint8).reshape(32, 32, 3).astype(int)
        expected = stock_picture(stock, drawing(seed=int(image.run_id))).pixels.astype(int)
        assert np.abs(pixels - expected).max() <= PIXEL_TOLERANCE[settings.dtype], image.draw_conditions
