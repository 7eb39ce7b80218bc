"""How long the device works on something, for the measurements of the warm-up."""

import time
from collections.abc import Callable

from gpu_subscriber.engine.devices import Device

ROUNDS = 3
"""How often each choice is timed.

The first round warms up; the best of the others counts, since noise only adds.
"""

_MOST_WAITS = 5
_WAITS_BUDGET_SECONDS = 1.0


def shortest_wait(wait: Callable[[], float]) -> float:
    """Return the shortest of a few durations by the wall clock. Each call of `wait` measures one.

    Other processes that start at the same time prolong a single one up to twenty times. Measured
    until the sum reaches a second, so that slow models are measured once.
    """
    shortest = spent = wait()
    for _ in range(_MOST_WAITS - 1):
        if spent >= _WAITS_BUDGET_SECONDS:
            break
        seconds = wait()
        shortest, spent = min(shortest, seconds), spent + seconds
    return shortest


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
