"""Ports of the tasks: the queue of the workers, and the models' tokenizers."""

from collections.abc import Sequence
from typing import Protocol

from common.domain.task import Task


class TaskQueue(Protocol):
    """The queue of the workers. At least once: a task may be published several times."""

    def publish(self, *tasks: Task) -> None:
        """Return once the broker has confirmed at least one message for each task, within seconds.

        Raises DependencyUnavailableError without a confirmation; messages may have arrived
        nevertheless.
        """
        ...


class PromptTokenizers(Protocol):
    """Splits prompts into tokens as the models do."""

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        """Return the index of the first character of each token, without begin and end tokens.

        None if the model's tokenizer cannot be read here.
        """
        ...
