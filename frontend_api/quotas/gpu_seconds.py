"""CallersGpuSeconds: how much GPU time the tasks of one caller need and have used."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from common.domain.models.catalog import ModelCatalog
from common.domain.task import Task
from frontend_api.stats.ports import TaskStats
from frontend_api.usage.ports import UsageBook


@dataclass(frozen=True, slots=True, kw_only=True)
class CallersGpuSeconds:
    """Predictions count work units with the step times that workers report, as estimates do.

    A model that no worker has measured yet counts nothing.
    """

    catalog: ModelCatalog
    stats: TaskStats
    usage_book: UsageBook
    per_unit: Callable[[str], float | None]
    """The GPU seconds per work unit of a model; None if unknown."""

    def of(self, task: Task) -> float:
        """Predict one task, whole: finished images of an earlier attempt count as well."""
        return task.work_units * (self.per_unit(task.parameters.model) or 0.0)

    def active(self, user_id: str) -> float:
        """Predict the queued and processing tasks of one caller. Raises DependencyUnavailableError."""
        predicted, _ = self._active(user_id)
        return predicted

    def on(self, user_id: str, day: date) -> float:
        """Return what one caller's tasks used that day, and what the active ones used and will use.

        Seconds without an image count as well: those of cancelled, failed and repeated attempts, and
        of deleted tasks. A task counts on the day it finishes. Raises DependencyUnavailableError.
        """
        # The active tasks first: a task that finishes between the two reads counts twice, not never.
        predicted, used = self._active(user_id)
        (finished,) = self.usage_book.totals_of(user_id, [day])
        return finished.gpu_seconds + finished.wasted_gpu_seconds + predicted + used

    def _active(self, user_id: str) -> tuple[float, float]:
        work = self.stats.work_of(user_id, tuple(spec.name for spec in self.catalog.models))
        predicted = sum(each.units * (self.per_unit(model) or 0.0) for model, each in work.items())
        return predicted, sum(each.used_gpu_seconds for each in work.values())
