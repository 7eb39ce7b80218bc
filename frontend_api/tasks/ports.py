"""Ports of the tasks: the queue of the workers, many stored tasks at once, and tokenizers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from common.domain.errors import DomainError
from common.domain.task import Task


class TaskQueue(Protocol):
    """The queue of the workers. At least once: a task may be published several times."""

    def publish(self, *tasks: Task) -> None:
        """Return once the broker has confirmed at least one message for each task, within seconds.

        Raises DependencyUnavailableError without a confirmation; messages may have arrived.
        """


class TaskBatches(Protocol):
    """The TaskStore's tasks, many per call.

    Every method raises DependencyUnavailableError for all of them.
    """

    def create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        """Store tasks with different ids, each separately.

        Returns, for each, the stored task or the error that TaskStore.create would raise.
        """

    def get(self, task_ids: Collection[str]) -> Mapping[str, Task]:
        """Return the tasks that exist, by id."""

    def update_unchanged(
        self, tasks: Sequence[Task], change: Callable[[Task], Task]
    ) -> tuple[Task | None, ...]:
        """Apply a pure change to tasks that the store returned.

        Returns the changed task, or None for a task that another process has changed since.
        """


class PromptTokenizers(Protocol):
    """Splits prompts into tokens as the models do."""

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        """Return the index of the first character of each token, without begin and end tokens.

        None if the model's tokenizer cannot be read here.
        """
