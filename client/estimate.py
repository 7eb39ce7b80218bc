"""Estimate: what would become of a submission that is made now, as the API foretells it."""

from client.record import Record
from client.task import Eta, TaskWarning


class Estimate(Record):
    """What a task would take, wait and cost. None is what nobody knows."""

    model: str
    feasible: bool
    """Whether a worker that is alive serves the model; `reason` says why not."""
    reason: str | None = None
    gpu_seconds: float | None = None
    queue_position: int
    """How many tasks of the model would wait before it."""
    eta: Eta | None = None
    price: float | None = None
    currency: str | None = None
    warnings: tuple[TaskWarning, ...] = ()
    """The warnings that the task would have."""
