"""Length and throughput of the queue."""

from pydantic import AwareDatetime

from darkroom.models.record import Record


class QueueTotals(Record):
    """State of the queue, for one model or for all."""

    queued: int
    oldest_seconds: float | None = None
    processing: int
    completed_per_minute: float
    backlog_gpu_seconds: float | None = None
    """GPU seconds that all unfinished tasks need; None if unknown."""
    workers: int | None = None
    """Number of live workers; None if unknown."""


class ModelQueue(QueueTotals):
    """State of the queue for one model."""

    model: str


class QueueStatus(QueueTotals):
    """State of the queue, over the tasks of all callers."""

    as_of: AwareDatetime
    dead_letters: int
    unserved_models: tuple[str, ...] = ()
    """Models that no live worker serves. Their tasks wait."""
    models: tuple[ModelQueue, ...] = ()
