"""WatchedList: a query for a caller's newest tasks as a target of a Listen stream. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.cloud.firestore_v1.types import StructuredQuery

from common.domain.task import Task
from frontend_api.streams.ports import TaskListSnapshot

_Query = StructuredQuery
_NEWEST_FIRST = _Query.Direction.DESCENDING


@dataclass(slots=True, kw_only=True)
class WatchedList:
    """The documents that match the query, and the subscribers to the list.

    After the target was added or reset, Firestore first sends all documents and then that the target is
    current. Subscribers get no list before that.
    """

    target_id: int
    user_id: str
    count: int
    subscribers: list[Callable[[TaskListSnapshot], None]] = field(default_factory=list)
    latest: TaskListSnapshot | None = None
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
        self.latest = TaskListSnapshot(tasks=tuple(newest[: self.count]))
        for notify in self.subscribers:
            notify(self.latest)
