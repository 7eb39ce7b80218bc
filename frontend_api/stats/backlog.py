"""The unfinished tasks of a model, counted in work units (`Task.work_units`). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.domain.task import Lane, Task, TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A number of tasks and their amount of computation."""

    tasks: int = 0
    units: float = 0.0
    """0 for tasks that were stored before units were recorded."""

    @classmethod
    def of(cls, task: Task) -> "Work":
        return cls(tasks=1, units=task.work_units)

    def __add__(self, other: "Work") -> "Work":
        return Work(tasks=self.tasks + other.tasks, units=self.units + other.units)


NO_WORK = Work()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOfCaller:
    """The queued and processing tasks of one caller and model."""

    units: float
    used_gpu_seconds: float
    """Of their earlier attempts, with and without an image; a retry adds to them."""


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
        return cls(
            id=task.id,
            model=task.parameters.model,
            lane=task.lane,
            status=task.status,
            units=task.work_units,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The unfinished tasks of one model, by lane."""

    queued: Mapping[Lane, Work] = field(default_factory=dict)
    processing: Mapping[Lane, Work] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[ActiveTask]) -> "Backlog":
        queued, processing = dict.fromkeys(Lane, NO_WORK), dict.fromkeys(Lane, NO_WORK)
        for task in tasks:
            by_lane = queued if task.status is TaskStatus.QUEUED else processing
            by_lane[task.lane] += Work(tasks=1, units=task.units)
        return cls(queued=queued, processing=processing)

    @property
    def tasks(self) -> int:
        return self.all_queued.tasks + self.all_processing.tasks

    @property
    def all_queued(self) -> Work:
        return sum(self.queued.values(), NO_WORK)

    @property
    def all_processing(self) -> Work:
        return sum(self.processing.values(), NO_WORK)

    def with_task(self, newcomers: Mapping[Lane, Work]) -> "Backlog":
        queued = {lane: self.queued.get(lane, NO_WORK) + newcomers.get(lane, NO_WORK) for lane in Lane}
        return Backlog(queued=queued, processing=self.processing)
