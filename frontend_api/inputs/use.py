"""The use of inputs by tasks: a task keeps its inputs, and takes them with it when it is deleted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import structlog

from common.domain.errors import DependencyUnavailableError, FieldProblem, ParametersRejectedError
from common.domain.inputs import input_object_name
from common.domain.task import Task
from common.ports import Clock
from frontend_api.inputs.delete import DeleteInput
from frontend_api.inputs.ports import InputStore
from frontend_api.inputs.stored_input import InputNotFoundError

_log = structlog.get_logger(__name__)
_SPARE = timedelta(days=1)
"""Added to the expiry of a kept input, so that many tasks with the same input seldom change it."""
Refusals: TypeAlias = tuple[ParametersRejectedError | None, ...]
"""For each of several tasks, why its inputs cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseInputs:
    """What submissions, retries and deletions of tasks do with the inputs."""

    store: InputStore
    delete: DeleteInput
    clock: Clock
    keep_for: timedelta
    """The longest time from a submission or retry until the task is deleted."""

    def check(self, tasks: Sequence[Task]) -> Refusals:
        """Check that the owner of each task has its inputs. Raises DependencyUnavailableError."""
        now = self.clock.now()

        def check(object_name: str) -> None:
            if self.store.get(object_name).expires_at <= now:
                raise InputNotFoundError(object_name)

        return _for_each_input(tasks, check)

    def keep(self, tasks: Sequence[Task]) -> Refusals:
        """Keep the inputs of stored tasks until the tasks are deleted. May be repeated.

        Refuses a task whose input was deleted since `check`. Raises DependencyUnavailableError.
        """
        least = self.clock.now() + self.keep_for

        def keep(object_name: str) -> None:
            stored = self.store.get(object_name)
            if not stored.is_kept or stored.expires_at < least:
                self.store.keep(stored, until=least + _SPARE, for_tasks=True)

        return _for_each_input(tasks, keep)

    def release(self, task: Task) -> None:
        """Delete the inputs of a deleted task unless another task uses them.

        Raises nothing: an input that is left behind expires.
        """
        for input_id in set(task.parameters.inputs.values()):
            try:
                self.delete.if_unused(input_object_name(task.user_id, input_id))
            except DependencyUnavailableError as error:
                _log.warning("input_left_to_expire", task_id=task.id, dependency=error.dependency)


def _for_each_input(tasks: Sequence[Task], visit: Callable[[str], None]) -> Refusals:
    """Visit each different input once, and refuse the tasks with inputs that are not found."""
    is_missing: dict[str, bool] = {}

    def missing(object_name: str) -> bool:
        if object_name not in is_missing:
            try:
                visit(object_name)
                is_missing[object_name] = False
            except InputNotFoundError:
                is_missing[object_name] = True
        return is_missing[object_name]

    return tuple(
        _refusal(
            [
                name
                for name, input_id in task.parameters.inputs.items()
                if missing(input_object_name(task.user_id, input_id))
            ]
        )
        for task in tasks
    )


def _refusal(names: list[str]) -> ParametersRejectedError | None:
    if not names:
        return None
    detail = "must be the id of one of your inputs; upload the picture to /v1/inputs"
    count = "1 input does" if len(names) == 1 else f"{len(names)} inputs do"
    problems = tuple(FieldProblem(f"/{name}", detail) for name in names)
    return ParametersRejectedError(f"{count} not exist or no longer exist", problems)
