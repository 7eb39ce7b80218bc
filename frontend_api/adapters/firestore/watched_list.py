"""WatchedList: a query for a caller's newest tasks as a target of a Listen stream. No I/O."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.cloud.firestore_v1.types import StructuredQuery

from common.domain.task import Task
from frontend_api.streams.ports import TaskListSnapshot

_Query = StructuredQuery
_NEWEST_FIRST = _Query.Direction.DESCENDING
_LENGTHS = (50, 200, 1_000)
"""Subscribers to lists of other lengths share the next longer list of these."""
_KEPT_IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class ListSubscriber:
    """Gets the newest `count` tasks of a list that may be longer."""

    count: int
    on_change: Callable[[TaskListSnapshot], None]

    def notify(self, tasks: tuple[Task, ...]) -> None:
        self.on_change(TaskListSnapshot(tasks=tasks[: self.count]))


@dataclass(slots=True, kw_only=True)
class WatchedList:
    """The documents that match the query, and the subscribers to the list.

    After the target was added or reset, Firestore first sends all documents and then that the target is
    current. Subscribers get no list before that.
    """

    target_id: int
    user_id: str
    count: int
    idle_since: float | None = None
    """When the last subscriber left."""
    _subscribers: list[ListSubscriber] = field(default_factory=list)
    _latest: tuple[Task, ...] | None = None
    _tasks: dict[str, Task] = field(default_factory=dict)
    """By full document name."""
    _is_current: bool = False

    def query(self, collection: str) -> Any:
        """Return the query: the user's tasks, newest first, as browsers listen to them."""
        is_own = _Query.FieldFilter(
            field=_Query.FieldReference(field_path="user_id"),
            op=_Query.FieldFilter.Operator.EQUAL,
            value={"string_value": self.user_id},
        )
        return _Query(
            from_=[_Query.CollectionSelector(collection_id=collection)],
            where=_Query.Filter(field_filter=is_own),
            order_by=[
                _Query.Order(field=_Query.FieldReference(field_path=name), direction=_NEWEST_FIRST)
                for name in ("created_at", "__name__")
            ],
            limit={"value": self.count},
        )

    def add(self, subscriber: ListSubscriber) -> None:
        """Add a subscriber, and report the list to it if it is known."""
        self._subscribers.append(subscriber)
        self.idle_since = None
        if self._latest is not None:
            subscriber.notify(self._latest)

    def removes(self, subscriber: ListSubscriber) -> bool:
        """Remove a subscriber; return whether it was the last one."""
        if subscriber not in self._subscribers:
            return False
        self._subscribers.remove(subscriber)
        return not self._subscribers

    def reset(self) -> None:
        """Drop the documents: the stream sends all of them again."""
        self._tasks.clear()
        self._is_current = False

    def put(self, name: str, task: Task) -> None:
        """Add a document, or replace it by a newer version."""
        self._tasks[name] = task
        self._report()

    def remove(self, name: str) -> None:
        """Remove a document that was deleted or is not among the newest any more."""
        if self._tasks.pop(name, None) is not None:
            self._report()

    def set_current(self) -> None:
        """Report the list: Firestore has sent all documents."""
        self._is_current = True
        self._report()

    def _report(self) -> None:
        if not self._is_current:
            return
        newest = sorted(self._tasks.values(), key=lambda task: (task.created_at, task.id), reverse=True)
        self._latest = tuple(newest[: self.count])
        for subscriber in self._subscribers:
            subscriber.notify(self._latest)


class WatchedLists:
    """The lists of all callers.

    Firestore sends, and charges for, all documents of each new target. So subscribers share a few lists of
    each caller, which are kept for a while without a subscriber: a caller that connects in a loop, with
    any number of tasks, does not cause more of them.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lists: dict[tuple[str, int], WatchedList] = {}

    def __iter__(self) -> Iterator[WatchedList]:
        return iter(self._lists.values())

    def __bool__(self) -> bool:
        return bool(self._lists)

    def of(self, user_id: str, count: int, *, new_target: Callable[[], int]) -> tuple[WatchedList, bool]:
        """Return a list of a caller with at least `count` tasks, and whether it is new."""
        length = next((each for each in _LENGTHS if each >= count), count)
        key = (user_id, length)
        if key in self._lists:
            return self._lists[key], False
        watched = WatchedList(target_id=new_target(), user_id=user_id, count=length)
        self._lists[key] = watched
        return watched, True

    def leave(self, watched: WatchedList, subscriber: ListSubscriber) -> None:
        """Remove a subscriber. Idempotent."""
        if watched.removes(subscriber):
            watched.idle_since = self._now()

    def remove_idle(self) -> tuple[WatchedList, ...]:
        """Remove and return the lists that have had no subscriber for a while."""
        before = self._now() - _KEPT_IDLE_SECONDS
        idle = {
            key: each
            for key, each in self._lists.items()
            if each.idle_since is not None and each.idle_since <= before
        }
        for key in idle:
            del self._lists[key]
        return tuple(idle.values())
