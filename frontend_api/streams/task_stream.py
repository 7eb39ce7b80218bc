"""The sequence of updates for a caller who follows a task, shared by event streams and WebSockets."""

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
from frontend_api.tasks.responses import RenderTask, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The task was deleted. No further update follows."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLongerAllowed:
    """The API key that authenticated the connection was revoked or has expired."""


class SnapshotCache:
    """Serializes each task change once and shares the result with all subscribers, which all wake at
    the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[TaskSnapshot, Future[Snapshot]] = WeakKeyDictionary()

    def of(self, snapshot: TaskSnapshot, task: Task, render: RenderTask) -> Snapshot:
        """Return the serialized snapshot.

        The first caller serializes it; the others wait for the result.
        """
        with self._lock:
            made = self._made.get(snapshot)
            is_first = made is None
            if made is None:
                made = self._made[snapshot] = Future()
        if is_first:
            try:
                made.set_result(render(task))
            except BaseException as error:
                made.set_exception(error)
        return made.result()


_snapshots = SnapshotCache()
StreamItem: TypeAlias = Snapshot | Deleted | NoLongerAllowed | WaitOutcome


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
    NoLongerAllowed when the result is false.
    """
    asked_at = time.monotonic()
    told = render(task)
    yield WaitOutcome.TIMEOUT if told.etag == known_etag else told
    while not told.is_last:
        outcome = connection.wait(subscription, heartbeat_seconds, accepts_data=accepts_data)
        if time.monotonic() - asked_at >= heartbeat_seconds:
            if not is_permitted():
                yield NoLongerAllowed()
                return
            asked_at = time.monotonic()
        if outcome is not WaitOutcome.CHANGED:
            if outcome is WaitOutcome.DISCONNECTED:
                connection.close()
            yield outcome
            if outcome in (WaitOutcome.DISCONNECTED, WaitOutcome.SHUTTING_DOWN):
                return
        elif (snapshot := subscription.take()) is not None:
            if snapshot.task is None:
                yield Deleted(id=task.id)
                return
            before, told = told, _snapshots.of(snapshot, snapshot.task, render)
            if told.etag != before.etag:
                yield told
