"""How long the device works on something, for the measurements of the warm-up."""

import time
from collections.abc import Callable

from gpu_subscriber.engine.devices import Device

ROUNDS = 3
"""How often each choice is timed.

The first round warms up; the best of the others counts, since noise only adds.
"""


def timed_rounds(device: Device, work: Callable[[], object]) -> list[float]:
    """Return the seconds of several runs, without the first, which warms up."""
    return [seconds_of(device, work) for _ in range(ROUNDS)][1:]


def seconds_of(device: Device, work: Callable[[], object]) -> float:
    """Return how long the device works.

    On a CPU this is the processor time of the calling thread. It takes part in each parallel region,
    so on an idle machine its time is the wall clock's to 3 %. Other load prolongs the wall clock
    several times, and this time hardly. The time of all threads together counts the parallel part
    once per thread, and so favours small batches.
    """
    clock = time.perf_counter if device.is_cuda else time.thread_time
    device.synchronize()
    began = clock()
    work()
    device.synchronize()
    return clock() - began
