"""The memory of a device: what is free, and the peak of a piece of work."""

import time
from collections.abc import Callable
from typing import Protocol

import torch

_FRESH_SECONDS = 1.0


class DeviceMemory(Protocol):
    """A device's memory, where it is limited and measurable."""

    def free_bytes(self) -> int:
        """Return how much new tensors may take; at most a second old, and newer than `renew`."""
        ...

    def renew(self) -> None:
        """Read again at the next call: something large was allocated or freed."""
        ...

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Run `work` and return the most that it held at once, besides what was held before."""
        ...


class CudaMemory:
    """The memory of the current CUDA device. Freed blocks that torch caches count as free."""

    def __init__(self) -> None:
        self._free = 0
        self._read_at = float("-inf")

    def free_bytes(self) -> int:
        now = time.monotonic()
        if now - self._read_at >= _FRESH_SECONDS:  # a read takes a part of a millisecond
            self._free, self._read_at = _cuda_free_bytes(), now
        return self._free

    def renew(self) -> None:
        self._read_at = float("-inf")

    def peak_bytes(self, work: Callable[[], object]) -> int:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        self.renew()
        return torch.cuda.max_memory_allocated() - before


def _cuda_free_bytes() -> int:
    """Return what the device and the process's own limit leave, with torch's cached blocks."""
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    allowed = int(torch.cuda.get_per_process_memory_fraction() * total) - reserved
    return min(free, allowed) + reserved - torch.cuda.memory_allocated()
