"""The changes of a caller's newest tasks, for one event stream."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.listed_snapshots import ListedSnapshots
from frontend_api.streams.subscriptions import Subscription
from frontend_api.tasks.rendering import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The task was deleted, or newer tasks have displaced it."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """All tasks of the list have been sent."""


ListItem: TypeAlias = Snapshot | Removed | Complete | WaitOutcome


def list_updates(
    subscription: Subscription,
    connection: ClientConnection,
    *,
    snapshots: ListedSnapshots,
    heartbeat_seconds: float,
    is_permitted: Callable[[], bool],
) -> Iterator[ListItem]:
    """Yield each task of the list, Complete, then each change.

    A slow reader gets the newest states. The generator yields WaitOutcome.TIMEOUT at each heartbeat
    interval, and ends when the connection or the process does, or when `is_permitted` returns false.
    """
    checked_at = time.monotonic()
    sent: dict[str, str] = {}
    """The ETag of each task of the list, as last sent."""
    revisions: dict[str, str | None] = {}
    is_complete = False
    while True:
        outcome = connection.wait(subscription, heartbeat_seconds)
        if time.monotonic() - checked_at >= heartbeat_seconds:
            if not is_permitted():
                return
            checked_at = time.monotonic()
        if outcome is not WaitOutcome.CHANGED:
            if outcome is WaitOutcome.DISCONNECTED:
                connection.close()
            if outcome in (WaitOutcome.DISCONNECTED, WaitOutcome.SHUTTING_DOWN):
                return
            yield outcome
        elif (change := subscription.take_list()) is not None:
            listed = {task.id for task in change.tasks}
            for task_id in [known for known in sent if known not in listed]:
                del sent[task_id], revisions[task_id]
                yield Removed(id=task_id)
            for task in change.tasks:
                if task.id in revisions and revisions[task.id] == task.revision:
                    continue
                revisions[task.id] = task.revision
                snapshot = snapshots.of(task)
                if sent.get(task.id) != snapshot.etag:
                    sent[task.id] = snapshot.etag
                    yield snapshot
            if not is_complete:
                is_complete = True
                yield Complete()
