"""ListedSnapshots: the tasks of lists, serialized once for all event streams of this process."""

import sys
import threading
from collections.abc import Callable

from cachetools import LRUCache

from common.domain.task import Task
from frontend_api.tasks.rendering import Snapshot

_KEPT_BYTES = 16 * 1024 * 1024
"""Several thousand tasks."""


class ListedSnapshots:
    """Serializes each version of a task once for all streams, which wake at the same time. Thread-safe.

    One thread serializes at a time. The threads of many streams that open at once would otherwise
    compete for the interpreter with the requests of all callers.
    """

    def __init__(self, render: Callable[[Task], Snapshot]) -> None:
        self._render = render
        self._rendering = threading.Lock()
        self._lock = threading.Lock()
        self._snapshots: LRUCache[tuple[str, str | None], Snapshot] = LRUCache(
            _KEPT_BYTES, getsizeof=lambda snapshot: sys.getsizeof(snapshot.json)
        )
        """By the id and the revision of the task."""

    def of(self, task: Task) -> Snapshot:
        key = (task.id, task.revision)
        if (known := self._known(key)) is not None:
            return known
        with self._rendering:
            if (known := self._known(key)) is not None:
                return known
            snapshot = self._render(task)
            with self._lock:
                self._snapshots[key] = snapshot
            return snapshot

    def _known(self, key: tuple[str, str | None]) -> Snapshot | None:
        with self._lock:
            return self._snapshots.get(key)
