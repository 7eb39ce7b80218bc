"""The sequence of updates for a caller who follows a task, shared by event streams and WebSockets."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from common.domain.task import Task
from frontend_api.dependencies import Dependencies
from frontend_api.http.responses import Snapshot
from frontend_api.streams.connection import ClientConnection, Heard
from frontend_api.streams.ports import Sighting
from frontend_api.streams.subscriptions import Follower


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The task was deleted. No further update follows."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLongerAllowed:
    """The API key that authenticated the connection was revoked or has expired."""


class SharedSnapshots:
    """Serializes each task change once and shares the result with all followers, which all wake at
    the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[Sighting, Future[Snapshot]] = WeakKeyDictionary()

    def of(self, sighting: Sighting, task: Task, wired: Dependencies) -> Snapshot:
        """Return the snapshot of a sighting.

        The first caller serializes it; the others wait for the result.
        """
        with self._lock:
            made = self._made.get(sighting)
            is_first = made is None
            if made is None:
                made = self._made[sighting] = Future()
        if is_first:
            try:
                made.set_result(Snapshot.of(task, wired))
            except BaseException as error:
                made.set_exception(error)
        return made.result()


_snapshots = SharedSnapshots()
Told: TypeAlias = Snapshot | Deleted | NoLongerAllowed | Heard


def telling(
    follower: Follower,
    connection: ClientConnection,
    task: Task,
    *,
    wired: Dependencies,
    may_go_on: Callable[[], bool],
    known_etag: str | None = None,
    listening: bool = False,
) -> Iterator[Told]:
    """Yield the task's current state, then each change, until it is in a terminal state or deleted.

    A state whose ETag is `known_etag` is skipped. A slow reader gets the newest state, not every
    state. In between, the generator yields Heard.NOTHING at each heartbeat interval, and other
    signals of the connection. It ends after Heard.CALLER_GONE and Heard.MUST_END. It calls
    `may_go_on` once per heartbeat interval, also while changes arrive, and ends with
    NoLongerAllowed when the result is false.
    """
    asked_at = time.monotonic()
    told = Snapshot.of(task, wired)
    yield Heard.NOTHING if told.etag == known_etag else told
    while not told.is_last:
        heard = connection.wait(follower, wired.heartbeat_seconds, listening=listening)
        if time.monotonic() - asked_at >= wired.heartbeat_seconds:
            if not may_go_on():
                yield NoLongerAllowed()
                return
            asked_at = time.monotonic()
        if heard is not Heard.NEWS:
            if heard is Heard.CALLER_GONE:
                connection.hang_up()
            yield heard
            if heard in (Heard.CALLER_GONE, Heard.MUST_END):
                return
        elif (sighting := follower.take()) is not None:
            if sighting.task is None:
                yield Deleted(id=task.id)
                return
            before, told = told, _snapshots.of(sighting, sighting.task, wired)
            if told.etag != before.etag:
                yield told
