"""ActiveTasks: the queued and processing tasks known to a process. Pure; the caller synchronizes.

A small number of tasks is kept one by one, so that the process can query their statuses and drop
each finished one. A large number is kept as sums.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from common.domain.task import Lane, Task, TaskStatus
from frontend_api.stats.backlog import NO_WORK, ActiveTask, Backlog, Work

MAX_LISTED = 20

_Sums = dict[str, dict[Lane, Work]]


class ActiveTasks:
    """The tasks of the latest measurement, and those that this process has stored since."""

    def __init__(self, models: Sequence[str]) -> None:
        self._models = models
        self._by_id: dict[str, ActiveTask] | None = {}
        """By id; None while there are too many."""
        self._new_ids: set[str] = set()
        """Ids of the tasks in `_by_id` that were added since the latest measurement or check."""
        self._measured: Mapping[str, Backlog] = {}
        self._arrivals: _Sums = {}

    @classmethod
    def listed(cls, models: Sequence[str], tasks: Iterable[ActiveTask]) -> "ActiveTasks":
        """Create from tasks that are kept one by one."""
        known = cls(models)
        known._by_id = {task.id: task for task in tasks}
        return known

    @classmethod
    def summed(cls, backlogs: Mapping[str, Backlog]) -> "ActiveTasks":
        """Create from sums by model."""
        known = cls(tuple(backlogs))
        known._by_id, known._measured = None, backlogs
        return known

    @property
    def count(self) -> int:
        if self._by_id is not None:
            return len(self._by_id)
        arrived = sum(work.tasks for lanes in self._arrivals.values() for work in lanes.values())
        return arrived + sum(backlog.tasks for backlog in self._measured.values())

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the tasks that are kept one by one; empty when there are too many."""
        return () if self._by_id is None else tuple(self._by_id)

    @property
    def is_listed(self) -> bool:
        return self._by_id is not None

    def add(self, task: Task) -> None:
        """Count a stored task, unless it is counted already."""
        if self._by_id is None:
            lanes = self._arrivals.setdefault(task.parameters.model, {})
            lanes[task.lane] = lanes.get(task.lane, NO_WORK) + Work.of(task)
            return
        if task.id not in self._by_id:
            self._by_id[task.id] = ActiveTask.of(task)
            self._new_ids.add(task.id)
        if len(self._by_id) > MAX_LISTED:
            self._measured, self._arrivals = self.measured, {m: dict(w) for m, w in self.arrivals.items()}
            self._by_id = None

    def check(self, ids: Iterable[str], statuses: Mapping[str, TaskStatus]) -> None:
        """Drop the tasks that have finished or were deleted, and mark those that are processing."""
        if self._by_id is None:
            return
        for task_id in ids:
            status = statuses.get(task_id)
            if status is None or status.is_terminal:
                self._by_id.pop(task_id, None)
            elif task_id in self._by_id:
                self._by_id[task_id] = replace(self._by_id[task_id], status=status)
            self._new_ids.discard(task_id)

    @property
    def measured(self) -> Mapping[str, Backlog]:
        """The backlog of each offered model as of the latest measurement or check."""
        if self._by_id is None:
            return self._measured
        old = [task for task in self._by_id.values() if task.id not in self._new_ids]
        return {model: Backlog.of(task for task in old if task.model == model) for model in self._models}

    @property
    def arrivals(self) -> Mapping[str, Mapping[Lane, Work]]:
        """The tasks added since then, by model and lane."""
        if self._by_id is None:
            return {model: dict(lanes) for model, lanes in self._arrivals.items()}
        sums: _Sums = {}
        for task_id in self._new_ids & self._by_id.keys():
            task = self._by_id[task_id]
            lanes = sums.setdefault(task.model, {})
            lanes[task.lane] = lanes.get(task.lane, NO_WORK) + Work(tasks=1, units=task.units)
        return sums
