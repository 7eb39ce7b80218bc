"""Warm-up: a model's first passes, which measure batch caps, memory formats and an image's time.

Everything is measured because results do not transfer between models and devices. On the same CPU,
channels-last convolutions ran three times as fast for one network and a third slower for other
widths. Batches that speed up one device slow down another.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import structlog
import torch

from common.domain.models.catalog import ModelSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey, best_batch
from gpu_subscriber.engine.batches.memory_needs import MemoryNeeds
from gpu_subscriber.engine.device_memory import DeviceMemory
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import RunTimes, WarmUpTimes
from gpu_subscriber.engine.models.loading import Family

_log = structlog.get_logger()

ROUNDS = 3
"""How often each choice is timed.

The first round warms up; the best of the others counts, since noise only adds.
"""
MOST_DOUBTS = 8
"""How often a batch that does not pay is measured again. Other load prolongs it, but never shortens it."""
BUDGET_SECONDS = 5.0
"""Stop trying larger batches once the timed forwards took this long together.

Forwards that are not timed do not count: the first one of a size may compile for minutes.
"""
_CONVOLUTION_DIMENSIONS = 4
WORTH_IT = 0.95
"""A memory format is chosen only if it takes less than this share of the plain format's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the warm-up of a model measured. It holds for later loads; BatchCaps keep the batch cap."""

    times: WarmUpTimes | None
    channels_last: tuple[str, ...]
    """The networks in this memory format."""

    def apply(self, family: Family) -> None:
        """Choose the memory formats of the first load."""
        for name in self.channels_last:
            family.origin.networks[name].to(memory_format=torch.channels_last)


@torch.inference_mode()
def warm_up(
    family: Family, spec: ModelSpec, device: Device, caps: BatchCaps, *, measure: bool
) -> WarmUpTimes | None:
    """Run a model once at its default size; with `measure`, choose memory formats and batch cap.

    With `measure`, returns the time of an image by the wall clock, because that is how long callers
    wait.
    """
    if isinstance(family, WholePipeline):
        return _warm_up_whole(family, spec, measure=measure)
    _choose_memory_formats(family, spec, device, measure=measure)
    state = family.prepare(default_parameters(spec), seed=0)
    (prediction,) = family.predict([state])
    family.preview(state, prediction)  # measures the autoencoder's colours
    family.decode(state)
    device.synchronize()
    if device.memory is not None:
        _measure_memory(family, spec, device.memory, caps)
    if not measure:
        return None
    _measure_batches(family, spec, device, caps)
    return _timed_image(family, spec, device)


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


def default_key(spec: ModelSpec) -> BatchKey:
    """Return the batch key of a task that sets only a prompt."""
    return BatchKey.of(default_parameters(spec))


def _timed_image(family: GuidedFamily, spec: ModelSpec, device: Device) -> WarmUpTimes:
    parameters = default_parameters(spec)
    moments = [time.perf_counter()]

    def lap() -> None:
        device.synchronize()
        moments.append(time.perf_counter())

    state = family.prepare(parameters, seed=0)
    lap()
    family.predict([state])
    lap()
    family.decode(state)
    lap()
    preparing, stepping, decoding = (after - before for before, after in pairwise(moments))
    times = RunTimes(
        preparing_seconds=preparing,
        stepping_seconds=stepping,
        decoding_seconds=decoding,
        steps=1,
        shared_by=1,
    )
    return WarmUpTimes.of(parameters, times)


def _measure_batches(family: GuidedFamily, spec: ModelSpec, device: Device, caps: BatchCaps) -> None:
    parameters = default_parameters(spec)
    key = BatchKey.of(parameters)
    states = [family.prepare(parameters, seed=seed) for seed in range(caps.cap_of(key))]
    seconds: dict[int, float] = {}
    spent = 0.0

    def measure(batch: int) -> None:
        nonlocal spent
        timed = _timed_rounds(device, lambda: family.predict(states[:batch]))
        spent += sum(timed)
        seconds[batch] = min(*timed, seconds.get(batch, timed[0]))

    def pays(batch: int) -> bool:
        return seconds[batch] / batch <= seconds[batch // 2] / (batch // 2)

    batch, doubts = 1, 0
    try:
        while batch <= len(states) and spent < BUDGET_SECONDS:
            measure(batch)
            if batch == 1 or pays(batch):
                batch, doubts = 2 * batch, 0
            elif doubts < MOST_DOUBTS:
                doubts += 1
                measure(batch // 2)
            else:
                break
    except torch.OutOfMemoryError:
        pass
    device.free_memory()
    if seconds:
        caps.learn(key, best_batch(seconds))
    milliseconds = {size: round(value * 1000, 2) for size, value in seconds.items()}
    _log.info("batches_measured", model=spec.name, cap=caps.cap_of(key), milliseconds=milliseconds)


def _measure_memory(family: GuidedFamily, spec: ModelSpec, memory: DeviceMemory, caps: BatchCaps) -> None:
    """Measure the peaks of a step of one Run and of two, and of a decoding, at the default size."""
    parameters = default_parameters(spec)
    key = BatchKey.of(parameters)
    states = [family.prepare(parameters, seed=seed) for seed in range(2)]
    alone = pair = memory.peak_bytes(lambda: family.predict(states[:1]))
    if memory.free_bytes() > 2 * alone:
        pair = memory.peak_bytes(lambda: family.predict(states))
    decoding = memory.peak_bytes(lambda: family.decode(states[0]))
    caps.learn_memory(key, MemoryNeeds.measured(key, alone=alone, pair=pair, decoding=decoding))
    _log.info("memory_measured", model=spec.name, alone=alone, pair=pair, decoding=decoding)


def _choose_memory_formats(family: GuidedFamily, spec: ModelSpec, device: Device, *, measure: bool) -> None:
    """Choose channels-last for convolutional networks where it is faster.

    It is always chosen on CUDA, where half-precision convolutions prefer it.
    """
    state = family.prepare(default_parameters(spec), seed=0)
    for name, network, work in (
        (family.network, family.denoiser, lambda: family.predict([state])),
        ("vae", family.pipeline.vae, lambda: family.decode(state)),
    ):
        if not takes_channels_last(network):
            continue
        if device.is_cuda:
            network.to(memory_format=torch.channels_last)
            continue
        if not measure:
            continue
        chosen = _faster_format(network, device, work)
        _log.info("memory_format_chosen", model=spec.name, network=name, format=str(chosen))


def takes_channels_last(network: torch.nn.Module) -> bool:
    """Return whether a network has convolutions of images and none of videos, whose format is another."""
    convolves = any(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    return convolves and all(weight.ndim <= _CONVOLUTION_DIMENSIONS for weight in network.parameters())


def _faster_format(network: Any, device: Device, work: Callable[[], object]) -> torch.memory_format:
    formats = (torch.contiguous_format, torch.channels_last)
    seconds: dict[torch.memory_format, list[float]] = {memory_format: [] for memory_format in formats}
    for _ in range(ROUNDS):
        for memory_format in formats:
            network.to(memory_format=memory_format)
            seconds[memory_format].append(_seconds(device, work))
    # The first round of each format prepares kernels for its layout; take the best of the rest.
    plain, last = (min(seconds[memory_format][1:]) for memory_format in formats)
    chosen = torch.channels_last if last < WORTH_IT * plain else torch.contiguous_format
    network.to(memory_format=chosen)
    return chosen


def _timed_rounds(device: Device, work: Callable[[], object]) -> list[float]:
    """Return the seconds of several runs, without the first, which warms up."""
    return [_seconds(device, work) for _ in range(ROUNDS)][1:]


def _seconds(device: Device, work: Callable[[], object]) -> float:
    """Return how long the device works.

    On a CPU this is the processor time of all threads, which other load hardly changes. By the wall
    clock, no batch looked worthwhile while the machine started ten other processes.
    """
    clock = time.perf_counter if device.is_cuda else time.process_time
    device.synchronize()
    began = clock()
    work()
    device.synchronize()
    return clock() - began
