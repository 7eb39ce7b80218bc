"""LimitedMemory: the memory of a device of which a test allocates parts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(slots=True)
class LimitedMemory:
    """Implements DeviceMemory. `used` is the memory of weights and of other processes."""

    total: int
    used: int = 0
    peak: int = 0
    failures: int = 0

    def allocate(self, size: int) -> None:
        """Hold memory for a moment, as a forward pass does."""
        if self.used + size > self.total:
            self.failures += 1
            raise torch.OutOfMemoryError("out of memory")
        self.peak = max(self.peak, self.used + size)

    def free_bytes(self) -> int:
        return self.total - self.used

    def renew(self) -> None:
        """Nothing is kept."""

    def peak_bytes(self, work: Callable[[], object]) -> int:
        self.peak = self.used
        work()
        return self.peak - self.used
