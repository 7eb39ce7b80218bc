"""The memory format of convolutions, by network: the faster one."""

from collections.abc import Callable
from typing import Any

import structlog
import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.timing import ROUNDS, seconds_of
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()

WORTH_IT = 0.95
"""Channels-last is chosen only if it takes less than this share of the plain format's time."""
_CONVOLUTION_DIMENSIONS = 4


def choose_memory_formats(family: GuidedFamily, parameters: GenerationParameters, device: Device) -> None:
    """Choose channels-last for convolutional networks where it is faster, for a step of two Runs.

    For one Run, the gain of a small network is below the noise.
    """
    states = [prepared(family, parameters, seed=seed) for seed in range(2)]
    try:
        family.predict(states)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        states.pop()
    device.free_memory()
    for name, network, work in (
        (family.network, family.denoiser, lambda: family.predict(states)),
        ("vae", family.pipeline.vae, lambda: family.decode(states[0])),
    ):
        if takes_channels_last(network):
            chosen = _faster_format(network, device, work)
            _log.info("memory_format_chosen", model=parameters.model, network=name, format=str(chosen))


def takes_channels_last(network: torch.nn.Module) -> bool:
    """Return whether a network has convolutions of images and none of videos, whose format is another."""
    convolves = any(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    return convolves and all(weight.ndim <= _CONVOLUTION_DIMENSIONS for weight in network.parameters())


def set_memory_format(network: torch.nn.Module, memory_format: torch.memory_format) -> None:
    """Convert the kernels of convolutions; quantized weights of other layers cannot be converted."""
    for weight in network.parameters():
        if weight.ndim == _CONVOLUTION_DIMENSIONS:
            # Tensors of inference mode and others cannot replace each other.
            with torch.inference_mode(weight.is_inference()), torch.no_grad():
                weight.data = weight.data.contiguous(memory_format=memory_format)


def _faster_format(network: Any, device: Device, work: Callable[[], object]) -> torch.memory_format:
    formats = (torch.contiguous_format, torch.channels_last)
    seconds: dict[torch.memory_format, list[float]] = {memory_format: [] for memory_format in formats}
    for _ in range(ROUNDS):
        for memory_format in formats:
            set_memory_format(network, memory_format)
            seconds[memory_format].append(seconds_of(device, work))
    # The first round of each format prepares kernels for its layout; take the best of the rest.
    plain, last = (min(seconds[memory_format][1:]) for memory_format in formats)
    chosen = torch.channels_last if last < WORTH_IT * plain else torch.contiguous_format
    set_memory_format(network, chosen)
    return chosen
