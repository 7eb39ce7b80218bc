"""QueueStanding: how long the queue is, and how fast it moves, as the API tells it."""

from datetime import datetime

from client.record import Record


class QueueLine(Record):
    """How the queue stands, of one model or of all."""

    queued: int
    oldest_seconds: float | None = None
    processing: int
    completed_per_minute: float
    backlog_gpu_seconds: float | None = None
    """How long one worker would draw at all that has not ended; None where nobody knows."""
    workers: int | None = None
    """How many are alive and serve it."""


class ModelQueue(QueueLine):
    """How the queue of one model stands."""

    model: str


class QueueStanding(QueueLine):
    """How the queue stands: everybody's tasks."""

    as_of: datetime
    dead_letters: int
    unserved_models: tuple[str, ...] = ()
    """The models that no live worker serves: their tasks wait."""
    models: tuple[ModelQueue, ...] = ()
