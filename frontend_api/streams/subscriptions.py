"""Follow a task: wait for its changes without polling the store.

Each waiting caller takes one of a limited number of slots in the process. A slot keeps the newest
state: a slow reader misses states in between but never the newest one.
"""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from common.domain.errors import DomainError
from common.domain.task import Task
from frontend_api.streams.ports import TaskChanges, TaskSnapshot


class TooManyWaitingError(DomainError):
    """All slots for waiting callers in this process are taken."""

    code = "too_many_waiting"
    retryable = True
    retry_after_seconds = 5  # among so many waits, some are always about to end

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} callers already wait for changes, the limit; retry later, or without waiting"
        )


class Subscription:
    """A slot for one waiting caller.

    `select` and `poll` report it as readable after an event, until `clear_wakeup` is called. It is a
    context manager: leaving it releases the slot.
    """

    def __init__(self, changes: TaskChanges, give_back: Callable[["Subscription"], None]) -> None:
        self._changes = changes
        self._release = give_back
        self._lock = threading.Lock()
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._wakeup_reader.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._is_awake = False
        self._pending: TaskSnapshot | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._is_closed = False
        self.is_shutting_down = False
        """Set when the process stops: the caller must stop waiting."""

    def follow(self, task: Task) -> None:
        """Receive every state newer than `task` from now on."""
        self._unsubscribe = self._changes.follow(task, self._on_change)

    @property
    def has_update(self) -> bool:
        """Whether there is a state to take."""
        return self._pending is not None

    def take(self) -> TaskSnapshot | None:
        """Return the newest state that was not taken before, or None."""
        with self._lock:
            taken, self._pending = self._pending, None
        return taken

    def clear_wakeup(self) -> None:
        """Clear the readable signal; call it before checking what has happened."""
        with self._lock:
            if self._is_awake:
                self._wakeup_reader.recv(1)
                self._is_awake = False

    def fileno(self) -> int:
        """The file descriptor for `select` and `poll`."""
        return self._wakeup_reader.fileno()

    def end(self) -> None:
        """Wake the waiting caller and set `is_shutting_down`."""
        with self._lock:
            self.is_shutting_down = True
            self._wake()

    def close(self) -> None:
        """Release the slot. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._wakeup_reader.close()
        self._wakeup_writer.close()
        self._release(self)

    def _on_change(self, snapshot: TaskSnapshot) -> None:
        with self._lock:
            self._pending = snapshot
            self._wake()

    def _wake(self) -> None:
        if not self._is_awake and not self._is_closed:
            self._is_awake = True
            self._wakeup_writer.send(b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Subscriptions:
    """Hands out a limited number of Followers per process."""

    def __init__(self, *, changes: TaskChanges, most: int) -> None:
        self._changes = changes
        self._most = most
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._is_ending = False

    def reserve(self) -> Subscription:
        """Take a slot that follows no task yet. Raises TooManyWaitingError."""
        with self._lock:
            if len(self._subscriptions) >= self._most:
                raise TooManyWaitingError(self._most)
            subscription = Subscription(self._changes, self._released)
            self._subscriptions.add(subscription)
            if self._is_ending:
                subscription.end()
            return subscription

    def __call__(self, task: Task) -> Subscription:
        """Take a slot that receives every state newer than `task`. Raises TooManyWaitingError."""
        subscription = self.reserve()
        subscription.follow(task)
        return subscription

    @property
    def waiting(self) -> int:
        """How many slots are taken."""
        with self._lock:
            return len(self._subscriptions)

    def shut_down(self) -> None:
        """End all waits, current and future, because the process is stopping."""
        with self._lock:
            self._is_ending = True
            subscriptions = tuple(self._subscriptions)
        for subscription in subscriptions:
            subscription.end()

    def _released(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)
