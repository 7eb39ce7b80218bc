"""Steps of samplers on a device with a queue, represented by meta tensors: no copy waits for it."""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from diffusers import PNDMScheduler, UniPCMultistepScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.parameters import Sampler
from gpu_subscriber.engine.models.samplers import new_scheduler
from gpu_subscriber.engine.runs.host_copies import HostCopies, without_waiting

CPU, META = torch.device("cpu"), torch.device("meta")
NOISE = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(4))
NOISE_ON = {CPU: NOISE, META: NOISE.to(META)}
STALLING = {Sampler.UNIPC, Sampler.EULER_ANCESTRAL, Sampler.LCM}


class Copies(TorchDispatchMode):
    """Records for each copy from the host to the device whether the host waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        is_copy = func is torch.ops.aten._to_copy.default
        if is_copy and args[0].device == CPU and named.get("device") == META:
            self.waiting.append(not named.get("non_blocking"))
        return func(*args, **named)


def steps(
    sampler: Sampler, device: torch.device, context: AbstractContextManager[Any] | None = None, **config: Any
) -> torch.Tensor:
    """Return the latents after six steps on this device."""
    own = (UniPCMultistepScheduler if sampler is Sampler.UNIPC else PNDMScheduler)(**config)
    scheduler = new_scheduler(sampler, own, steps=6)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    generator = torch.Generator().manual_seed(3)
    latents = NOISE_ON[device]
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    more = {"generator": generator} if takes_generator else {}
    for timestep in scheduler.timesteps:
        with without_waiting(scheduler, device) if context is None else context:
            latents = scheduler.step(latents * 0.1, timestep, latents, return_dict=False, **more)[0]
    return latents


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_no_sampler_waits_for_the_device(sampler: Sampler) -> None:
    with Copies() as copies:
        steps(sampler, META)
    assert not any(copies.waiting)


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_stock_steps_of_some_samplers_wait(sampler: Sampler) -> None:
    """The counter-check: without the context, the samplers named above wait at every step."""
    with Copies() as copies:
        steps(sampler, META, nullcontext())
    assert any(copies.waiting) == (sampler in STALLING)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_copies_at_most_two_vectors_per_step(order: int) -> None:
    with Copies() as copies:
        steps(Sampler.UNIPC, META, solver_order=order)
    assert len(copies.waiting) <= 2 * 6
    assert not any(copies.waiting)


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_numbers_are_those_of_the_stock_steps(sampler: Sampler) -> None:
    """The CPU itself replaces the device, so that the results can be compared."""
    expected = steps(sampler, CPU)
    context = HostCopies(CPU, keeps_scalars=sampler is Sampler.UNIPC)
    assert torch.equal(steps(sampler, CPU, context), expected)
