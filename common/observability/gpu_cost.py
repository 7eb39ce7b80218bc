"""Metrics of device seconds by their use, and of their cost.

A task's seconds are open until a write settles them as useful or wasted; the process that makes
this write counts them. So each second is counted once: by the worker that spent it, by a later one,
or by the API when it ends the task.
"""

from dataclasses import dataclass

from common.domain.task import Task, TaskStatus
from common.observability.metrics import COST, GPU_SECONDS, counter

_gpu_seconds = counter(GPU_SECONDS)
_cost = counter(COST)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCost:
    """Counts device seconds, and their cost if a price is configured."""

    price_per_second: float | None = None
    currency: str = "USD"

    def count_settled(self, before: Task, after: Task) -> None:
        """Count the seconds that a write of the task settled.

        Seconds of a cancelled task do not count as wasted.
        """
        useful = (after.usage.gpu_seconds or 0.0) - (before.usage.gpu_seconds or 0.0)
        unused = after.usage.wasted_gpu_seconds - before.usage.wasted_gpu_seconds
        cancelled = unused if after.status is TaskStatus.CANCELLED else 0.0
        self.count(
            model=after.parameters.model, useful=useful, cancelled=cancelled, wasted=unused - cancelled
        )

    def count(self, *, model: str, useful: float = 0.0, cancelled: float = 0.0, wasted: float = 0.0) -> None:
        """Count seconds of kept images (`useful`), of cancelled tasks, and lost ones (`wasted`)."""
        for use, seconds in (("useful", useful), ("cancelled", cancelled), ("wasted", wasted)):
            if seconds <= 0:
                continue
            attributes = {"model": model, "use": use}
            _gpu_seconds.add(seconds, attributes)
            if self.price_per_second is not None:
                _cost.add(seconds * self.price_per_second, attributes | {"currency": self.currency})
