"""The port that reports changes of tasks, and of lists of tasks, as they happen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from common.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class TaskSnapshot:
    """A state of a task at one moment; `task` is None if the task was deleted.

    All subscribers of the task get the same object.
    """

    task: Task | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskListSnapshot:
    """A caller's newest tasks at one moment, newest first."""

    tasks: tuple[Task, ...]


class TaskChanges(Protocol):
    def subscribe(self, task: Task, on_change: Callable[[TaskSnapshot], None]) -> Callable[[], None]:
        """Call `on_change` with each newer state of a task until the returned function is called.

        Every reported state is newer than `task` and than the state before it. States in between
        may be skipped; the newest is always reported. `on_change` runs on a thread of the adapter and must
        not block; a running call may end after the subscription does. While the store is
        unreachable, nothing is reported; missed changes are reported afterwards.
        """

    def subscribe_to_list(
        self, user_id: str, count: int, on_change: Callable[[TaskListSnapshot], None]
    ) -> Callable[[], None]:
        """Call `on_change` with the newest `count` tasks of a caller, and after each change of the list.

        The first call follows as soon as the store has returned the list. The rules of `subscribe` apply.
        """
