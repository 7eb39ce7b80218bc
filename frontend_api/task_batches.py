"""TaskBatches: the door to the stored tasks for whoever has many at once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from common.domain.errors import DomainError
from common.domain.task import Task


class TaskBatches(Protocol):
    """The TaskStore's tasks, many in one call. Every method raises DependencyUnavailableError, of all of them."""

    def create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        """Store tasks of different ids, each by itself: the stored task, or what TaskStore.create would raise."""
        ...

    def get(self, task_ids: Collection[str]) -> Mapping[str, Task]:
        """Those of the tasks that exist, by id."""
        ...

    def update_unchanged(
        self, tasks: Sequence[Task], change: Callable[[Task], Task]
    ) -> tuple[Task | None, ...]:
        """Apply a pure change to tasks that the store returned, to each if it still is as it was; else None."""
        ...
