"""The peak rates of the device, the rates that it reaches, and its idle time."""

import resource
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.measurement import Spread, spread_of
from gpu_subscriber.engine.devices import Device

MATRIX_ROUNDS = 7
_PRODUCTS = 10


def matrix_flops(device: Device, *, side: int) -> Spread:
    """Return the operations per second of products of two random square matrices.

    Zeros would be faster than real data.
    """
    left, right = (torch.randn(side, side, device=device.torch_device, dtype=device.dtype) for _ in range(2))
    rates = []
    for _ in range(1 + MATRIX_ROUNDS):
        device.synchronize()
        began = time.perf_counter()
        for _ in range(_PRODUCTS):
            left @ right
        device.synchronize()
        rates.append(_PRODUCTS * 2 * side**3 / (time.perf_counter() - began))
    return spread_of(rates[1:])  # the first round warms up


def counted_flops(work: Callable[[], object]) -> int:
    """Return the operations of the matrix products, convolutions and attentions in `work`."""
    counter = FlopCounterMode(display=False, custom_mapping={_CPU_ATTENTION: _attention_flops})
    with counter:
        work()
    return int(counter.get_total_flops())


def peak_bytes(device: Device, work: Callable[[], object]) -> int:
    """Run `work` and return the most memory in use meanwhile, weights included.

    On a CPU this is the peak of the process since its start.
    """
    if not device.is_cuda:
        work()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch.cuda.reset_peak_memory_stats()
    work()
    device.synchronize()
    return torch.cuda.max_memory_allocated()


def idle_share(device: Device, work: Callable[[], object]) -> float:
    """Return the share of time in which the device has no work while `work` runs.

    On CUDA: between the first and the last kernel, from a profile, which slows the CPU down a
    little; so this is an upper bound. On a CPU: the share in which the calling thread does not run.
    """
    if not device.is_cuda:
        began, used = time.perf_counter(), time.thread_time()
        work()
        return max(0.0, 1 - (time.thread_time() - used) / (time.perf_counter() - began))
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        device.synchronize()
    return idle_share_of(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type.name == "CUDA"
    )


def idle_share_of(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the share of the time from the first begin to the last end that no interval covers."""
    ordered = sorted(intervals)
    if not ordered:
        raise ValueError("the profile has no work of the device")
    first, covered_until = ordered[0][0], ordered[0][0]
    idle = 0.0
    for begin, end in ordered:
        idle += max(0.0, begin - covered_until)
        covered_until = max(covered_until, end)
    return idle / (covered_until - first) if covered_until > first else 0.0


def median(values: Iterable[float]) -> float | None:
    """Return the median; None without values."""
    found = list(values)
    return statistics.median(found) if found else None


_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Torch counts the attention of GPUs only."""


def _attention_flops(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
    return int(sdpa_flop_count(query, key, value))
