"""Workload: what waits to be drawn and who is there to draw it, at one moment. Pure: what follows from it, and no I/O.

Work is counted in work units (`GenerationParameters.work_units`), which mean the same on every device; what a unit
takes is what workers say. So work can be told in seconds of a GPU before anybody has looked at a single task.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from common.domain.task import Lane, Task, TaskStatus
from common.domain.worker_report import ModelTimes, WorkerReport

_DONE_ON_AVERAGE = 0.5
"""Of what a worker draws right now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Some tasks, and how much there is to compute for them."""

    tasks: int = 0
    units: float = 0.0
    """Of tasks that were stored before units were noted nothing is known: none."""

    @classmethod
    def of(cls, task: Task) -> "Work":
        """One task, all of it."""
        return cls(tasks=1, units=task.parameters.work_units)

    def __add__(self, other: "Work") -> "Work":
        return Work(tasks=self.tasks + other.tasks, units=self.units + other.units)


NO_WORK = Work()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveTask:
    """A task that is queued or processing, with the fields that the backlog is computed from."""

    id: str
    model: str
    lane: Lane
    status: TaskStatus
    units: float

    @classmethod
    def of(cls, task: Task) -> "ActiveTask":
        """The same fields of a stored task."""
        return cls(
            id=task.id,
            model=task.parameters.model,
            lane=task.lane,
            status=task.status,
            units=task.parameters.work_units,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The tasks of one model that have not ended, by lane."""

    queued: Mapping[Lane, Work] = field(default_factory=dict)
    processing: Mapping[Lane, Work] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[ActiveTask]) -> "Backlog":
        """The sum of some tasks of one model."""
        queued, processing = dict.fromkeys(Lane, NO_WORK), dict.fromkeys(Lane, NO_WORK)
        for task in tasks:
            by_lane = queued if task.status is TaskStatus.QUEUED else processing
            by_lane[task.lane] += Work(tasks=1, units=task.units)
        return cls(queued=queued, processing=processing)

    @property
    def tasks(self) -> int:
        """How many tasks are queued or processing."""
        return self.all_queued.tasks + self.all_processing.tasks

    @property
    def all_queued(self) -> Work:
        """Of both lanes."""
        return sum(self.queued.values(), NO_WORK)

    @property
    def all_processing(self) -> Work:
        """Of both lanes."""
        return sum(self.processing.values(), NO_WORK)

    def joined_by(self, newcomers: Mapping[Lane, Work]) -> "Backlog":
        """The same with more tasks queued."""
        queued = {lane: self.queued.get(lane, NO_WORK) + newcomers.get(lane, NO_WORK) for lane in Lane}
        return Backlog(queued=queued, processing=self.processing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The backlog of every model on offer, and the workers."""

    as_of: datetime
    measured: Mapping[str, Backlog]
    """As it stood then, by model."""
    workers: tuple[WorkerReport, ...]
    """Those that are alive."""
    arrivals: Mapping[str, Mapping[Lane, Work]] = field(default_factory=dict)
    """What has been queued since, as far as is known."""
    former_workers: tuple[WorkerReport, ...] = ()
    """Of each model that none who is alive knows, the last who did; the last to live first."""

    def joined_by(self, task: Task) -> "Workload":
        """The same with one more task queued."""
        model = task.parameters.model
        lanes = self.arrivals.get(model, {})
        joined = {**lanes, task.lane: lanes.get(task.lane, NO_WORK) + Work.of(task)}
        return replace(self, arrivals={**self.arrivals, model: joined})

    @property
    def models(self) -> frozenset[str]:
        """Those on offer."""
        return frozenset(self.measured)

    def backlog_of(self, model: str) -> Backlog:
        """What waits of a model, and what is being drawn."""
        measured = self.measured.get(model, Backlog())
        return measured.joined_by(self.arrivals[model]) if model in self.arrivals else measured

    def workers_of(self, model: str) -> tuple[WorkerReport, ...]:
        """Those that are alive and can serve the model."""
        return tuple(worker for worker in self.workers if model in worker.served_models)

    def times_of(self, model: str) -> tuple[ModelTimes, ...]:
        """What each worker that knows says of the model; one that is gone is asked where no other knows."""
        alive = tuple(_times(self.workers, model))
        return alive or tuple(_times(self.former_workers, model))[:1]

    def gpu_seconds_per_unit(self, model: str) -> float | None:
        """What a unit of the model's work takes one worker, each having its share; None when nobody knows."""
        times = self.times_of(model)
        if not times:
            return None
        return len(times) / sum(1 / one.gpu_seconds_per_unit for one in times)

    def gpu_seconds_left(self, model: str) -> float | None:
        """How long one worker would draw at all that has not ended; None when nobody knows what it takes."""
        backlog = self.backlog_of(model)
        if not (backlog.all_queued.tasks or backlog.all_processing.tasks):
            return 0.0
        per_unit = self.gpu_seconds_per_unit(model)
        if per_unit is None:
            return None
        return per_unit * (backlog.all_queued.units + self.units_in_work(model))

    def units_in_work(self, model: str) -> float:
        """What is left of the tasks that workers hold: each draws at one of them, and the others wait inside it."""
        held = self.backlog_of(model).all_processing
        if held.tasks == 0:
            return 0.0
        drawn_at = min(held.tasks, max(1, len(self.workers_of(model))))
        return held.units * (1 - _DONE_ON_AVERAGE * drawn_at / held.tasks)

    @property
    def all_gpu_seconds_left(self) -> float | None:
        """The same over all models; None when it is not known of each."""
        each = [self.gpu_seconds_left(model) for model in self.measured]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) if len(known) == len(each) else None


def _times(workers: Iterable[WorkerReport], model: str) -> Iterable[ModelTimes]:
    every = chain.from_iterable(worker.times for worker in workers)
    return (one for one in every if one.model == model)
