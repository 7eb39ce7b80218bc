"""UsageTotals: the summed usage of tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """The usage of tasks, in GPU seconds."""

    tasks: int
    gpu_seconds: float
    """Spent on images that were kept."""
    wasted_gpu_seconds: float
    """Spent on lost attempts."""

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        return UsageTotals(
            tasks=self.tasks + other.tasks,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            wasted_gpu_seconds=self.wasted_gpu_seconds + other.wasted_gpu_seconds,
        )


NO_USAGE = UsageTotals(tasks=0, gpu_seconds=0.0, wasted_gpu_seconds=0.0)
