"""WorkerReport: what a worker says of itself while it is alive, so that others can tell what a task will take.

Times are medians of what the worker drew lately. Work units are `GenerationParameters.work_units`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeTimes:
    """What drawing an image of about one size takes a worker, in seconds."""

    pass_pixels: int
    """Width × height × forwards per step: 131,072 for 256² with guidance."""
    step_seconds: float
    """Of the device: a step's time, divided among the images that shared it."""
    alone_step_seconds: float | None
    """Of a step that was shared with nobody; None if there was none."""
    preparing_seconds: float
    """Encoding the prompt, and whatever else comes before the first step."""
    decoding_seconds: float
    images: int
    """How many images this was learned from; 0 when it was measured while warming up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimes:
    """What one model takes a worker."""

    model: str
    gpu_seconds_per_unit: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Over all sizes, as they were asked for lately."""
    sizes: tuple[SizeTimes, ...]
    """By `pass_pixels`, each about half as large again as the one before; at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenModel:
    """A model that a worker could not load or warm up. It is tried again with backoff."""

    model: str
    reason: str
    """For operators: the error's type and text, which may name paths."""
    failures: int
    """In a row."""
    retry_at: datetime
    """No attempt to load it is made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForetoldTask:
    """A task that ended well: what its owner could have been told on submission, and what it took, in seconds."""

    predicted_seconds: float
    took_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """One worker, as it was when it said so."""

    worker_id: str
    models: tuple[str, ...]
    """Those it is configured to serve, loaded or not."""
    device: str
    slots: int
    """How many images it draws at once."""
    deliveries: int
    """How many tasks it takes at once: some of them wait inside it."""
    reported_at: datetime
    alive_until: datetime
    """When it counts as gone unless it says more; `reported_at` once it is leaving."""
    expires_at: datetime
    """When this may be forgotten. Long after its end: what it measured tells the next one's work."""
    times: tuple[ModelTimes, ...] = ()
    """Of those models that it has drawn with, or measured while warming up."""
    handling_seconds: float | None = None
    """Of a task, beside the drawing: claiming, encoding and storing the images, writing the end."""
    foretold: tuple[ForetoldTask, ...] = ()
    """The latest tasks it completed at the first attempt, oldest first."""
    broken_models: tuple[BrokenModel, ...] = ()
    """Those of `models` that it cannot serve at present."""

    @property
    def served_models(self) -> frozenset[str]:
        """The models that it can serve."""
        return frozenset(self.models) - {broken.model for broken in self.broken_models}

    def is_alive(self, now: datetime) -> bool:
        """Whether it is there to draw."""
        return now < self.alive_until

    def leaving(self, now: datetime) -> "WorkerReport":
        """Its last word: nothing more will be taken."""
        return replace(self, reported_at=now, alive_until=now)
