"""Durations of generation on this worker, measured from its tasks. Thread-safe, no I/O.

They are medians over the latest images, which ignore outliers such as a busy CPU or the first pass
at a new size. Sizes are grouped into classes, since the duration of a step is nearly, but not
exactly, proportional to its pixels.
"""

import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from statistics import median

from common.domain.task import Task
from common.domain.worker_report import NO_FACTORS, ModelTimes, PredictionSample, SizeTimes, StepFactors
from gpu_subscriber.engine.messages import RunTimes, WarmUpTimes

_MAX_IMAGES = 40
"""Per size: enough for a stable median, few enough to follow changes of the device's speed."""
_MAX_UNITS = 60
"""Over all sizes: the waiting tasks resemble the latest ones."""
_USUAL_SHARE = 0.1
"""Images with less than this share of a default image's units are small: they need more time per unit."""
_MAX_SIZES = 16
"""Per model, so that a report stays small; the least recently used size is evicted."""
_MAX_TASKS = 120
_ALONE = 1.05
"""Largest mean number of images per step that counts as a single one."""


@dataclass(slots=True)
class _Size:
    warm_up: SizeTimes | None = None
    pixels: deque[int] = field(default_factory=lambda: deque(maxlen=_MAX_IMAGES))
    images: deque[RunTimes] = field(default_factory=lambda: deque(maxlen=_MAX_IMAGES))

    def times(self) -> SizeTimes | None:
        if not self.images:
            return self.warm_up
        alone = [one.step_seconds for one in self.images if one.shared_by <= _ALONE]
        if not alone and self.warm_up is not None and self.warm_up.alone_step_seconds is not None:
            alone = [self.warm_up.alone_step_seconds]
        return SizeTimes(
            pass_pixels=round(median(self.pixels)),
            step_seconds=median(one.step_seconds for one in self.images),
            alone_step_seconds=median(alone) if alone else None,
            preparing_seconds=median(one.preparing_seconds for one in self.images),
            decoding_seconds=median(one.decoding_seconds for one in self.images),
            images=len(self.images),
        )


@dataclass(slots=True)
class _Model:
    sizes: OrderedDict[int, _Size] = field(default_factory=OrderedDict)
    costs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MAX_UNITS))
    """Device seconds and work units of each image that is not small."""
    small_costs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MAX_UNITS))
    warm_up_cost: tuple[float, float] | None = None
    """Of a default image."""
    factors: StepFactors = NO_FACTORS

    def size_of(self, pass_pixels: int) -> _Size:
        # Half powers of two: a class spans 0.84 to 1.19 times its center.
        size = self.sizes.setdefault(round(2 * math.log2(pass_pixels)), _Size())
        self.sizes.move_to_end(round(2 * math.log2(pass_pixels)))
        if len(self.sizes) > _MAX_SIZES:
            self.sizes.popitem(last=False)
        return size

    def is_small(self, image_work_units: float) -> bool:
        if self.warm_up_cost is None:
            return False
        _, default_units = self.warm_up_cost
        return image_work_units < _USUAL_SHARE * default_units

    def gpu_seconds_per_unit(self) -> float:
        """Small images count only without others: else one caller's would change the others' quotas."""
        costs = list(self.costs)
        if not costs:
            costs = [*self.small_costs, *([self.warm_up_cost] if self.warm_up_cost else [])]
        return sum(seconds for seconds, _ in costs) / sum(units for _, units in costs)


class TimingStats:
    """Records durations during generation, and returns them for the worker's reports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, _Model] = {}
        self._handling: deque[float] = deque(maxlen=_MAX_IMAGES)
        self._predictions: deque[PredictionSample] = deque(maxlen=_MAX_TASKS)

    def warmed_up(self, warm_up: WarmUpTimes) -> None:
        """Record the durations of the warm-up, which are used until an image has been measured."""
        pixels, times = warm_up.pass_pixels, warm_up.times
        with self._lock:
            model = self._models.setdefault(warm_up.model, _Model())
            model.size_of(pixels).warm_up = SizeTimes(
                pass_pixels=pixels,
                step_seconds=times.step_seconds,
                alone_step_seconds=times.step_seconds,
                preparing_seconds=times.preparing_seconds,
                decoding_seconds=times.decoding_seconds,
                images=0,
            )
            model.warm_up_cost = (times.seconds_of(warm_up.steps), warm_up.work_units)
            model.factors = warm_up.factors

    def image_generated(self, task: Task, times: RunTimes | None) -> None:
        """Record the durations of one image of a task, if known. An image without a step here is ignored."""
        if times is None or times.steps == 0:
            return
        parameters, pixels = task.parameters, task.parameters.pass_pixels
        with self._lock:
            model = self._models.setdefault(parameters.model, _Model())
            size = model.size_of(pixels)
            size.pixels.append(pixels)
            plain_seconds = times.stepping_seconds / model.factors.of(parameters)
            size.images.append(replace(times, stepping_seconds=plain_seconds))
            cost = (times.seconds_of(parameters.computed_steps), task.image_work_units)
            (model.small_costs if model.is_small(task.image_work_units) else model.costs).append(cost)

    def task_ended(self, task: Task, *, generation_seconds: float) -> None:
        """Record the duration of a task that completed at the first attempt.

        Others are not predictable.
        """
        usage, finished_at = task.usage, task.finished_at
        if finished_at is None or usage.inference_seconds is None or task.attempt != 1 or task.failed_images:
            return
        with self._lock:
            self._handling.append(max(0.0, usage.inference_seconds - generation_seconds))
            if task.predicted_seconds is not None:
                took = (finished_at - task.created_at).total_seconds()
                self._predictions.append(
                    PredictionSample(predicted_seconds=task.predicted_seconds, took_seconds=took)
                )

    @property
    def handling_seconds(self) -> float | None:
        """Duration of a task besides generation; None before the first."""
        with self._lock:
            return median(self._handling) if self._handling else None

    @property
    def predictions(self) -> tuple[PredictionSample, ...]:
        """The latest tasks whose duration was predicted, oldest first."""
        with self._lock:
            return tuple(self._predictions)

    @property
    def models(self) -> tuple[ModelTimes, ...]:
        """The durations for each model, by name."""
        with self._lock:
            return tuple(_times_of(name, model) for name, model in sorted(self._models.items()))


def _times_of(name: str, model: _Model) -> ModelTimes:
    sizes = [times for size in model.sizes.values() if (times := size.times()) is not None]
    return ModelTimes(
        model=name,
        gpu_seconds_per_unit=model.gpu_seconds_per_unit(),
        sizes=tuple(sorted(sizes, key=lambda times: times.pass_pixels)),
        factors=model.factors,
    )
