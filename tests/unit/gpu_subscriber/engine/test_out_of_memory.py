"""Memory that ends inside cuDNN, cuBLAS or the driver is handled as memory that ends in torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from common.domain.task import Phase
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import is_device_lost, is_out_of_memory
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.messages import ImageReady, PhaseChanged, RunFailed
from gpu_subscriber.engine.runs.run import Denoising
from gpu_subscriber.engine.tuning.attention import choose_attention
from gpu_subscriber.engine.tuning.batch_sizes import measure_batches
from gpu_subscriber.engine.tuning.memory_formats import choose_memory_formats
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing

SHORT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
)
LOST = (
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
)
each_error = pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=lambda error: str(error)[:40])


@dataclass(slots=True, kw_only=True)
class Limits:
    """What does not fit."""

    prediction: Callable[[int], bool] = lambda batch: False
    decoding: bool = False


class ShortFamily(RecordingFamily):
    """Raises an error for work that does not fit."""

    def __init__(self, pipeline: Any, error: Exception, limits: Limits) -> None:
        super().__init__(pipeline)
        self.error, self.limits = error, limits

    def predict(self, states: Any) -> list[torch.Tensor]:
        if self.limits.prediction(len(states)):
            raise self.error
        return super().predict(states)

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        if self.limits.decoding and not tiled:
            raise self.error
        return super().decode(state, tiled=tiled)


@each_error
def test_error_of_a_library_below_torch_is_recognized(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_device_lost(error)


@pytest.mark.parametrize("error", LOST, ids=str)
def test_lost_device_is_not_taken_for_one_without_memory(error: Exception) -> None:
    assert is_device_lost(error)
    assert not is_out_of_memory(error)


@each_error
def test_run_that_does_not_fit_may_be_tried_elsewhere(stock: Any, error: Exception) -> None:
    driven = DrivenEngine(ShortFamily(stock, error, Limits(prediction=lambda batch: True)))
    driven.draw("run")
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.failure.code, failed.failure.retryable) == ("out_of_gpu_memory", True)


@each_error
def test_batch_that_does_not_fit_is_halved(stock: Any, error: Exception) -> None:
    family = ShortFamily(stock, error, Limits(prediction=lambda batch: batch > 2))
    driven = DrivenEngine(family, max_batch=4)
    driven.start_runs(4)
    driven.run_to_end()
    assert (driven.failed_runs, len(driven.drawn_runs)) == ([], 4)
    assert driven.caps.cap_of(BatchKey.of(drawing())) == 2
    assert set(family.batches) == {2}, "a Run was tried alone"


@each_error
def test_image_that_does_not_fit_is_decoded_in_tiles(stock: Any, error: Exception) -> None:
    driven = DrivenEngine(ShortFamily(stock, error, Limits(decoding=True)))
    driven.draw("run")
    (image,) = driven.of_kind(ImageReady)
    assert image.draw_conditions.decoded_in_tiles


class HeldSlots(ModelLoras):
    """Slots of which the Runs make no use."""

    device_bytes = 1

    def release(self) -> None:
        self.device_bytes = 0


@each_error
def test_slots_of_loras_give_way(stock: Any, error: Exception) -> None:
    family = ShortFamily(stock, error, Limits())
    family.loras = HeldSlots(family.pipeline, family.network)
    family.limits.prediction = lambda batch: family.loras.device_bytes > 0
    driven = DrivenEngine(family)
    driven.draw("run")
    assert (driven.failed_runs, driven.drawn_runs) == ([], ["run"])


@each_error
def test_warm_up_measures_what_fits(stock: Any, error: Exception) -> None:
    family = ShortFamily(stock, error, Limits(prediction=lambda batch: batch > 1))
    caps, key = BatchCaps(max_batch=4), BatchKey.of(drawing())
    choose_memory_formats(family, drawing(), CPU)
    measure_batches(family, drawing(), CPU, caps)
    assert (caps.is_measured("tiny"), caps.cap_of(key)) == (True, 1)


@each_error
def test_kernel_of_attention_that_does_not_fit_is_not_chosen(stock: Any, error: Exception) -> None:
    family = ShortFamily(stock, error, Limits())
    family.limits.prediction = lambda batch: family.origin.attention == "MATH"
    choose_attention(family, drawing(), CPU, kernels=("MATH",))
    assert family.origin.attention is None


def test_each_load_of_a_model_is_reported_before_it(stock: Any) -> None:
    """The parent limits the time of each load, not of all together."""
    reports: list[int] = []

    def load(name: str) -> RecordingFamily:
        if name == "large":
            reports.append(len(driven.of_kind(PhaseChanged, "run")))
            if driven.model_cache.loaded:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return RecordingFamily(stock)

    models: dict[str, Any] = dict.fromkeys(["tiny", "large"])
    driven = DrivenEngine(models, load=load, loaded_models=2)
    driven.draw("other")
    driven.draw("run", drawing(model="large"))
    assert (driven.drawn_runs, reports) == (["other", "run"], [1, 2])
    phases = [message.phase for message in driven.of_kind(PhaseChanged, "run")]
    assert phases[:2] == [Phase.LOADING_MODEL] * 2
