"""Workload: the unfinished tasks and the live workers at one moment, and derived values. Pure.

Work is counted in work units (`GenerationParameters.work_units`), which are the same on every
device. Workers report the GPU seconds per unit, so the GPU time of a backlog can be computed
without reading a single task.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from common.domain.task import Lane, Task, TaskStatus
from common.domain.worker_report import ModelTimes, WorkerReport

_DONE_ON_AVERAGE = 0.5
"""Of the task that a worker is processing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A number of tasks and their amount of computation."""

    tasks: int = 0
    units: float = 0.0
    """0 for tasks that were stored before units were recorded."""

    @classmethod
    def of(cls, task: Task) -> "Work":
        """One complete task."""
        return cls(tasks=1, units=task.parameters.work_units)

    def __add__(self, other: "Work") -> "Work":
        return Work(tasks=self.tasks + other.tasks, units=self.units + other.units)


NO_WORK = Work()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveTask:
    """A queued or processing task, with the fields from which the backlog is computed."""

    id: str
    model: str
    lane: Lane
    status: TaskStatus
    units: float

    @classmethod
    def of(cls, task: Task) -> "ActiveTask":
        """Copy these fields from a stored task."""
        return cls(
            id=task.id,
            model=task.parameters.model,
            lane=task.lane,
            status=task.status,
            units=task.parameters.work_units,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The unfinished tasks of one model, by lane."""

    queued: Mapping[Lane, Work] = field(default_factory=dict)
    processing: Mapping[Lane, Work] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[ActiveTask]) -> "Backlog":
        """Sum tasks of one model."""
        queued, processing = dict.fromkeys(Lane, NO_WORK), dict.fromkeys(Lane, NO_WORK)
        for task in tasks:
            by_lane = queued if task.status is TaskStatus.QUEUED else processing
            by_lane[task.lane] += Work(tasks=1, units=task.units)
        return cls(queued=queued, processing=processing)

    @property
    def tasks(self) -> int:
        """Number of queued and processing tasks."""
        return self.all_queued.tasks + self.all_processing.tasks

    @property
    def all_queued(self) -> Work:
        """Of both lanes."""
        return sum(self.queued.values(), NO_WORK)

    @property
    def all_processing(self) -> Work:
        """Of both lanes."""
        return sum(self.processing.values(), NO_WORK)

    def with_task(self, newcomers: Mapping[Lane, Work]) -> "Backlog":
        """Return a copy with more queued tasks."""
        queued = {lane: self.queued.get(lane, NO_WORK) + newcomers.get(lane, NO_WORK) for lane in Lane}
        return Backlog(queued=queued, processing=self.processing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The backlog of every offered model, and the workers."""

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
        """Return a copy with one more queued task."""
        model = task.parameters.model
        lanes = self.arrivals.get(model, {})
        joined = {**lanes, task.lane: lanes.get(task.lane, NO_WORK) + Work.of(task)}
        return replace(self, arrivals={**self.arrivals, model: joined})

    @property
    def models(self) -> frozenset[str]:
        """The offered models."""
        return frozenset(self.measured)

    def backlog_of(self, model: str) -> Backlog:
        """Return the queued and processing work of a model."""
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
