"""TaskBatches: the port to the stored tasks for callers with many tasks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from common.domain.errors import DomainError
from common.domain.task import Task


class TaskBatches(Protocol):
    """The TaskStore's tasks, many per call.

    Every method raises DependencyUnavailableError for all of them.
    """

    def create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        """Store tasks with different ids, each separately.

        Returns, for each, the stored task or the error that TaskStore.create would raise.
        """
        ...

    def get(self, task_ids: Collection[str]) -> Mapping[str, Task]:
        """Return the tasks that exist, by id."""
        ...

    def update_unchanged(
        self, tasks: Sequence[Task], change: Callable[[Task], Task]
    ) -> tuple[Task | None, ...]:
        """Apply a pure change to tasks that the store returned.

        Returns the changed task, or None for a task that another process has changed since.
        """
        ...
