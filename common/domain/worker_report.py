"""Reports of live workers, from which the API estimates the duration of tasks.

Times are medians over the images that the worker generated recently. Work units are
`Task.work_units`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from pydantic import Field

from common.domain.parameters import GenerationParameters

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeTimes:
    """Durations of an image of about one size on a worker, in seconds."""

    pass_pixels: int
    """Width × height × forwards per step: 131,072 for 256² with guidance."""
    step_seconds: float
    """Device time of a step, divided by the images that shared it."""
    alone_step_seconds: float | None
    """Device time of a step with a single image; None if there was none."""
    preparing_seconds: float
    """Time before the first step, mainly encoding the prompt."""
    decoding_seconds: float
    images: int
    """Number of measured images; 0 if it was measured during the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFactors:
    """The time of a step, relative to that of a plain step; measured during the warm-up."""

    loras: Factor = 1.0
    control: Factor = 1.0

    def of(self, parameters: GenerationParameters) -> float:
        """Return the factor of a task's steps."""
        with_loras = self.loras if any(lora.scale for lora in parameters.loras) else 1.0
        return with_loras * (1.0 if parameters.controlnet is None else self.control)


NO_FACTORS = StepFactors()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimes:
    """Durations for one model on a worker."""

    model: str
    gpu_seconds_per_unit: Factor
    """Over all sizes, in the mix of recent requests."""
    sizes: tuple[SizeTimes, ...]
    """By `pass_pixels`, each about 1.5 times the previous; at least one. Times of plain steps."""
    factors: StepFactors = NO_FACTORS
    """Of steps with LoRAs or with a control network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenModel:
    """A model that a worker could not load or warm up. It is retried with backoff."""

    model: str
    reason: str
    """For operators: the error's type and text, which may name paths."""
    failures: int
    """Number of consecutive failures."""
    retry_at: datetime
    """Earliest time of the next attempt to load it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSample:
    """A completed task: the duration predicted at submission, and the actual one, in seconds."""

    predicted_seconds: float
    took_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """The state of a worker at the time of the report."""

    worker_id: str
    models: tuple[str, ...]
    """The models it is configured to serve, loaded or not."""
    device: str
    slots: int
    """Number of images it generates at once."""
    deliveries: int
    """Number of tasks it accepts at once; some of them wait in the worker."""
    reported_at: datetime
    alive_until: datetime
    """When it counts as dead without another report; `reported_at` when it is shutting down."""
    expires_at: datetime
    """When the report may be deleted: long after the worker's end, for estimates use its times."""
    times: tuple[ModelTimes, ...] = ()
    """For the models that it has generated with, or measured during the warm-up."""
    handling_seconds: float | None = None
    """Of a task besides generation: claiming, encoding and storing the images, the final write."""
    predictions: tuple[PredictionSample, ...] = ()
    """The latest tasks that it completed at the first attempt, oldest first."""
    broken_models: tuple[BrokenModel, ...] = ()
    """Those of `models` that it cannot serve at present."""

    @property
    def served_models(self) -> frozenset[str]:
        """The models that it can serve."""
        return frozenset(self.models) - {broken.model for broken in self.broken_models}

    def is_alive(self, now: datetime) -> bool:
        """Return whether the worker counts as alive."""
        return now < self.alive_until

    def leaving(self, now: datetime) -> "WorkerReport":
        """Return the last report of a worker that shuts down."""
        return replace(self, reported_at=now, alive_until=now)
