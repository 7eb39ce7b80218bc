"""The ports of a pool of workers whose size the API sets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSample:
    """The number of workers that a pool needed at one time."""

    at: datetime
    workers: int


class WorkerPool(Protocol):
    """Workers whose number can be set. Every method raises DependencyUnavailableError."""

    def instances(self) -> int:
        """Return the number of instances that was set last."""

    def set_instances(self, count: int) -> None:
        """Set the number of instances. The platform chooses the ones that it stops."""


class DemandHistory(Protocol):
    """The latest demand of each pool, shared by all processes."""

    def add(self, pool: str, sample: DemandSample, *, keep_for: timedelta) -> tuple[DemandSample, ...]:
        """Store a sample, and return those of the last `keep_for`, the oldest first.

        Samples of processes that add at the same time may replace each other. Raises
        DependencyUnavailableError.
        """
