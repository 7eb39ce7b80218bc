"""The updates of a task for one caller, for event streams and WebSockets."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from common.domain.task import Task
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.ports import TaskSnapshot
from frontend_api.streams.subscriptions import Subscription
from frontend_api.tasks.rendering import RenderTask, Snapshot

HEARTBEAT = ":\n"
"""A comment in a stream of server-sent events. With an empty line after it, some clients would report an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The task was deleted. No further update follows."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRevoked:
    """The API key that authenticated the connection was revoked or has expired."""


class SnapshotCache:
    """Serializes each task change once for all subscribers, which wake at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshots: WeakKeyDictionary[TaskSnapshot, Future[Snapshot]] = WeakKeyDictionary()

    def of(self, snapshot: TaskSnapshot, task: Task, render: RenderTask) -> Snapshot:
        """Return the serialized snapshot.

        The first caller serializes it; the others wait for the result.
        """
        with self._lock:
            future = self._snapshots.get(snapshot)
            is_first = future is None
            if future is None:
                future = self._snapshots[snapshot] = Future()
        if is_first:
            try:
                future.set_result(render(task))
            except BaseException as error:
                future.set_exception(error)
        return future.result()


_snapshots = SnapshotCache()
StreamItem: TypeAlias = Snapshot | Deleted | PermissionRevoked | WaitOutcome


def task_updates(
    subscription: Subscription,
    connection: ClientConnection,
    task: Task,
    *,
    render: RenderTask,
    heartbeat_seconds: float,
    is_permitted: Callable[[], bool],
    known_etag: str | None = None,
    accepts_data: bool = False,
) -> Iterator[StreamItem]:
    """Yield the task's current state, then each change, until it is in a terminal state or deleted.

    A state whose ETag is `known_etag` is skipped. A slow reader gets the newest state, not every
    state. In between, the generator yields WaitOutcome.TIMEOUT at each heartbeat interval, and other
    signals of the connection. It ends after WaitOutcome.DISCONNECTED and WaitOutcome.SHUTTING_DOWN. It calls
    `is_permitted` once per heartbeat interval, also while changes arrive, and ends with
    PermissionRevoked when the result is false.
    """
    checked_at = time.monotonic()
    latest = render(task)
    yield WaitOutcome.TIMEOUT if latest.etag == known_etag else latest
    while not latest.is_last:
        outcome = connection.wait(subscription, heartbeat_seconds, accepts_data=accepts_data)
        if time.monotonic() - checked_at >= heartbeat_seconds:
            if not is_permitted():
                yield PermissionRevoked()
                return
            checked_at = time.monotonic()
        if outcome is not WaitOutcome.CHANGED:
            if outcome is WaitOutcome.DISCONNECTED:
                connection.close()
            yield outcome
            if outcome in (WaitOutcome.DISCONNECTED, WaitOutcome.SHUTTING_DOWN):
                return
        elif (change := subscription.take()) is not None:
            if change.task is None:
                yield Deleted(id=task.id)
                return
            previous, latest = latest, _snapshots.of(change, change.task, render)
            if latest.etag != previous.etag:
                yield latest
