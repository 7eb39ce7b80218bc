"""UsageTotals: what tasks have cost, added up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """What tasks have cost, in seconds of a GPU."""

    tasks: int
    gpu_seconds: float
    """Made the images that were kept."""
    wasted_gpu_seconds: float
    """Went into attempts that were lost."""

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        return UsageTotals(
            tasks=self.tasks + other.tasks,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            wasted_gpu_seconds=self.wasted_gpu_seconds + other.wasted_gpu_seconds,
        )


NO_USAGE = UsageTotals(tasks=0, gpu_seconds=0.0, wasted_gpu_seconds=0.0)
