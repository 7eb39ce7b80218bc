"""Workload: the unfinished tasks and the live workers at one moment, and derived values. Pure.

Work is counted in work units (`Task.work_units`), which are the same on every
device. Workers report the GPU seconds per unit, so the GPU time of a backlog can be computed
without reading a single task.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from common.domain.task import Lane, Task
from common.domain.worker_report import ModelTimes, WorkerReport
from frontend_api.stats.backlog import NO_WORK, Backlog, Work

_DONE_ON_AVERAGE = 0.5
"""Of the task that a worker is processing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    as_of: datetime
    measured: Mapping[str, Backlog]
    """The backlog at that time, by model."""
    workers: tuple[WorkerReport, ...]
    """The live workers."""
    arrivals: Mapping[str, Mapping[Lane, Work]] = field(default_factory=dict)
    """Tasks queued since, as far as known."""
    former_workers: tuple[WorkerReport, ...] = ()
    """For each model that no live worker has measured, the latest that had, newest first."""

    def with_task(self, task: Task) -> "Workload":
        model = task.parameters.model
        lanes = self.arrivals.get(model, {})
        joined = {**lanes, task.lane: lanes.get(task.lane, NO_WORK) + Work.of(task)}
        return replace(self, arrivals={**self.arrivals, model: joined})

    @property
    def models(self) -> frozenset[str]:
        return frozenset(self.measured)

    def backlog_of(self, model: str) -> Backlog:
        measured = self.measured.get(model, Backlog())
        return measured.with_task(self.arrivals[model]) if model in self.arrivals else measured

    def workers_of(self, model: str) -> tuple[WorkerReport, ...]:
        """Return the live workers that can serve the model."""
        return tuple(worker for worker in self.workers if model in worker.served_models)

    def times_of(self, model: str) -> tuple[ModelTimes, ...]:
        """Return each live worker's times of the model.

        Without any, return those of the latest former worker.
        """
        alive = tuple(_times(self.workers, model))
        return alive or tuple(_times(self.former_workers, model))[:1]

    def gpu_seconds_per_unit(self, model: str) -> float | None:
        """Return the GPU seconds per unit of the model, averaged over the workers; None if unknown.

        This is the harmonic mean, because the workers work in parallel.
        """
        times = self.times_of(model)
        if not times:
            return None
        return len(times) / sum(1 / one.gpu_seconds_per_unit for one in times)

    def gpu_seconds_left(self, model: str) -> float | None:
        """Return the GPU seconds of all unfinished tasks on one worker; None if unknown."""
        backlog = self.backlog_of(model)
        if not (backlog.all_queued.tasks or backlog.all_processing.tasks):
            return 0.0
        per_unit = self.gpu_seconds_per_unit(model)
        if per_unit is None:
            return None
        return per_unit * (backlog.all_queued.units + self.units_in_work(model))

    def units_in_work(self, model: str) -> float:
        """Return the remaining work of the tasks that workers hold.

        Each worker processes one of them; the others wait inside the worker.
        """
        held = self.backlog_of(model).all_processing
        if held.tasks == 0:
            return 0.0
        drawn_at = min(held.tasks, max(1, len(self.workers_of(model))))
        return held.units * (1 - _DONE_ON_AVERAGE * drawn_at / held.tasks)

    @property
    def all_gpu_seconds_left(self) -> float | None:
        """The sum over all models; None unless it is known for each."""
        each = [self.gpu_seconds_left(model) for model in self.measured]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) if len(known) == len(each) else None


def _times(workers: Iterable[WorkerReport], model: str) -> Iterable[ModelTimes]:
    every = chain.from_iterable(worker.times for worker in workers)
    return (one for one in every if one.model == model)
