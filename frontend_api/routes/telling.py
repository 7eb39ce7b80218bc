"""What a caller who follows a task is told, one thing after another, whatever the wire: event stream or socket."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from common.domain.task import Task
from frontend_api.client_connection import ClientConnection, Heard
from frontend_api.dependencies import Dependencies
from frontend_api.follow_task import Follower
from frontend_api.ports import Sighting
from frontend_api.routes.answering import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The task is gone, and with it all there was to tell."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLongerAllowed:
    """The API key that opened the door has been revoked, or has ended."""


class SharedSnapshots:
    """Of what is seen of a task a snapshot is made once, however many follow it: they all wake at the same moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[Sighting, Future[Snapshot]] = WeakKeyDictionary()

    def of(self, sighting: Sighting, task: Task, wired: Dependencies) -> Snapshot:
        """The snapshot of a sighting; who comes first makes it, and the others wait."""
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
    """The task as it stands, then each change, until it has ended or is deleted.

    A state that the caller knows is left out; a caller who reads slowly gets the newest state, not all of them. In
    between come Heard.NOTHING, whenever the heartbeat's time has passed, and what else was heard; when the caller has
    gone or the process must end, that comes last. `may_go_on` is asked whenever the heartbeat's time has passed, with
    news or without; a no comes last, too.
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
