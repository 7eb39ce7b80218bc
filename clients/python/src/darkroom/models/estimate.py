"""Estimates of submissions."""

from darkroom.models.record import Record
from darkroom.models.task import Eta, TaskWarning


class Estimate(Record):
    """GPU time, wait and price of a task. Unknown values are None."""

    model: str
    feasible: bool
    """Whether a live worker serves the model; if not, `reason` says why."""
    reason: str | None = None
    gpu_seconds: float | None = None
    queue_position: int
    """Number of queued tasks of the model that come first."""
    eta: Eta | None = None
    price: float | None = None
    currency: str | None = None
    warnings: tuple[TaskWarning, ...] = ()
    """The warnings that the task would have."""
