"""GpuBill: the device's seconds by what they were good for, and what they cost."""

from dataclasses import dataclass

from common.observability.metrics import COST, GPU_SECONDS, counter

_gpu_seconds = counter(GPU_SECONDS)
_cost = counter(COST)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBill:
    """Counts seconds, and money where a second has a price."""

    price_per_second: float | None = None
    currency: str = "USD"

    def count(self, *, model: str, useful: float = 0.0, cancelled: float = 0.0, wasted: float = 0.0) -> None:
        """So many seconds made images that were kept, nobody wanted so many any more, and so many were lost."""
        for use, seconds in (("useful", useful), ("cancelled", cancelled), ("wasted", wasted)):
            if seconds <= 0:
                continue
            attributes = {"model": model, "use": use}
            _gpu_seconds.add(seconds, attributes)
            if self.price_per_second is not None:
                _cost.add(seconds * self.price_per_second, attributes | {"currency": self.currency})
