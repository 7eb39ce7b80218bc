"""Warm-up: a model's first passes, which measure batch caps, memory formats and an image's time.

Everything is measured because results do not transfer between models and devices. On the same CPU,
channels-last convolutions ran three times as fast for one network and a third slower for other
widths. Batches that speed up one device slow down another.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.graphed_passes import Graphs
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import DtypeChoice
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import RunTimes, WarmUpTimes
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.tuning.attention import choose_attention
from gpu_subscriber.engine.tuning.batch_sizes import measure_batches, measure_memory
from gpu_subscriber.engine.tuning.compilation import compile_batch_sizes
from gpu_subscriber.engine.tuning.cuda_graphs import choose_cuda_graphs
from gpu_subscriber.engine.tuning.memory_formats import choose_memory_formats, set_memory_format
from gpu_subscriber.engine.tuning.step_factors import measure_step_factors
from gpu_subscriber.engine.tuning.timing import shortest_wait
from gpu_subscriber.engine.tuning.trial_images import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the warm-up of a model measured. It holds for later loads; BatchCaps keep the batch cap."""

    dtype: DtypeChoice
    """The number format in which the model was loaded; `auto` is the device's."""
    times: WarmUpTimes | None
    channels_last: tuple[str, ...]
    """The networks in this memory format."""
    attention: str | None
    """The kernel of attention on a GPU."""

    def apply(self, family: Family) -> None:
        """Choose what was chosen at the first load."""
        if isinstance(family, GuidedFamily):
            family.use_attention(self.attention)
        for name in self.channels_last:
            set_memory_format(family.origin.networks[name], torch.channels_last)


@torch.inference_mode()
def warm_up(
    family: Family,
    spec: ModelSpec,
    device: Device,
    caps: BatchCaps,
    *,
    measure: bool,
    graphs: Graphs | None = None,
) -> WarmUpTimes | None:
    """Run a model once at its default size; with `measure`, choose memory formats and batch cap.

    With `graphs`, batches of this size are replayed as graphs where that is faster.

    With `measure`, returns the time of an image by the wall clock, because that is how long callers
    wait.
    """
    if isinstance(family, WholePipeline):
        return _warm_up_whole(family, spec, measure=measure)
    parameters = default_parameters(spec)
    if measure:
        choose_memory_formats(family, parameters, device)
        if device.is_cuda:
            choose_attention(family, parameters, device)
    state = prepared(family, parameters)
    if family.fills_batches:
        compile_batch_sizes(family, parameters, largest=caps.measured_cap_of(family.batch_key(parameters)))
    (prediction,) = family.predict([state])
    family.preview(state, prediction)  # measures the autoencoder's colours
    family.decode(state)
    device.synchronize()
    if device.memory is not None:
        measure_memory(family, parameters, device.memory, caps)
    if measure:
        measure_batches(family, parameters, device, caps)
    if graphs is not None:
        largest = caps.cap_of(family.batch_key(parameters))
        choose_cuda_graphs(family, parameters, device, graphs, largest=largest)
    if not measure:
        return None
    return _timed_image(family, spec, parameters, device)


def _warm_up_whole(family: WholePipeline, spec: ModelSpec, *, measure: bool) -> WarmUpTimes | None:
    """Generate an image of the default size in few steps, to check that the pipeline can.

    With `measure`, a second image is timed.
    """
    parameters = default_parameters(spec)
    few = max(2, spec.limits.min_steps)
    short = parameters.model_copy(update={"steps": min(parameters.steps, few)})
    _timed_whole(family, short)
    return WarmUpTimes.of(parameters, _timed_whole(family, short)) if measure else None


def _timed_whole(family: WholePipeline, parameters: GenerationParameters) -> RunTimes:
    began = time.perf_counter()
    steps: list[float] = []
    family.generate(parameters, seed=0, on_step=lambda *_: steps.append(time.perf_counter()))
    ended = time.perf_counter()
    if not steps:
        raise ModelRefusedError("the pipeline reports no steps: it could not be cancelled")
    # The time up to the first step's end covers the preparation and that step; subtract the step.
    step = (steps[-1] - steps[0]) / (len(steps) - 1) if len(steps) > 1 else steps[0] - began
    return RunTimes(
        preparing_seconds=max(0.0, steps[0] - began - step),
        stepping_seconds=step,
        decoding_seconds=ended - steps[-1],
        steps=1,
        shared_by=1,
    )


def default_parameters(spec: ModelSpec) -> GenerationParameters:
    """Return the parameters of a task that sets only a prompt."""
    return spec.defaulted(prompt="warm up", seed=0)


def _timed_image(
    family: GuidedFamily, spec: ModelSpec, parameters: GenerationParameters, device: Device
) -> WarmUpTimes:
    state = prepared(family, parameters)

    def duration_of(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        device.synchronize()
        return time.perf_counter() - began

    device.synchronize()
    times = RunTimes(
        preparing_seconds=shortest_wait(lambda: duration_of(lambda: prepared(family, parameters))),
        stepping_seconds=shortest_wait(lambda: duration_of(lambda: family.predict([state]))),
        decoding_seconds=shortest_wait(lambda: duration_of(lambda: family.decode(state))),
        steps=1,
        shared_by=1,
    )
    return WarmUpTimes.of(parameters, times, measure_step_factors(family, spec, parameters, device))
