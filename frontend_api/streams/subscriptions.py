"""Subscriptions of waiting callers to the changes of tasks, without polling the store.

The number of subscriptions per process is limited. Each keeps the newest state: a slow reader
misses states in between but never the newest one.
"""

import socket
import threading
from collections import Counter
from collections.abc import Callable

from common.domain.errors import DomainError
from common.domain.task import Task
from frontend_api.streams.ports import TaskChanges, TaskListSnapshot, TaskSnapshot


class TooManyWaitingError(DomainError):
    code = "too_many_waiting"
    retryable = True
    retry_after_seconds = 5  # among so many waits, some are always about to end

    def __init__(self, limit: int, *, is_own: bool) -> None:
        what = f"you already wait {limit} times" if is_own else f"{limit} callers already wait"
        super().__init__(f"{what}, which is the limit; retry later, or do not wait")


class TooManyListStreamsError(DomainError):
    code = "too_many_waiting"
    retryable = True
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"you already have {limit} event streams of your tasks in this process, which is the limit; "
            "close one, or retry later"
        )


class Subscription:
    """A waiting caller's subscription to a task or a list of tasks.

    `select` and `poll` report it as readable after a change until `clear_wakeup` is called.
    """

    def __init__(self, changes: TaskChanges, release: Callable[["Subscription"], None]) -> None:
        self._changes = changes
        self._release = release
        self._lock = threading.Lock()
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._wakeup_reader.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._is_signalled = False
        self._pending: TaskSnapshot | TaskListSnapshot | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._is_closed = False
        self.is_shutting_down = False
        """Set when the process stops: the caller must stop waiting."""

    def start(self, task: Task) -> None:
        self._unsubscribe = self._changes.subscribe(task, self._on_change)

    def start_list(self, user_id: str, count: int) -> None:
        """Subscribe to the newest tasks of a caller instead of a single task."""
        self._unsubscribe = self._changes.subscribe_to_list(user_id, count, self._on_change)

    @property
    def has_update(self) -> bool:
        return self._pending is not None

    def take(self) -> TaskSnapshot | None:
        """Return the task's newest state that was not taken before, or None."""
        taken = self._take()
        return taken if isinstance(taken, TaskSnapshot) else None

    def take_list(self) -> TaskListSnapshot | None:
        """Return the newest list that was not taken before, or None."""
        taken = self._take()
        return taken if isinstance(taken, TaskListSnapshot) else None

    def _take(self) -> TaskSnapshot | TaskListSnapshot | None:
        with self._lock:
            taken, self._pending = self._pending, None
        return taken

    def clear_wakeup(self) -> None:
        """Clear the readable signal; call it before checking what has happened."""
        with self._lock:
            if self._is_signalled:
                self._wakeup_reader.recv(1)
                self._is_signalled = False

    def fileno(self) -> int:
        return self._wakeup_reader.fileno()

    def shut_down(self) -> None:
        """Wake the waiting caller and set `is_shutting_down`."""
        with self._lock:
            self.is_shutting_down = True
            self._wake()

    def close(self) -> None:
        """Stop waiting and release the subscription. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._wakeup_reader.close()
        self._wakeup_writer.close()
        self._release(self)

    def _on_change(self, snapshot: TaskSnapshot | TaskListSnapshot) -> None:
        with self._lock:
            self._pending = snapshot
            self._wake()

    def _wake(self) -> None:
        if not self._is_signalled and not self._is_closed:
            self._is_signalled = True
            self._wakeup_writer.send(b"!")


class Subscriptions:
    """A limited number of subscriptions per process, of which each caller may hold a share.

    Fewer of them may be for lists: a list has up to 1,000 tasks, which all may change at once.
    """

    def __init__(
        self, *, changes: TaskChanges, limit: int, limit_per_caller: int, lists_per_caller: int
    ) -> None:
        self._changes = changes
        self._limit = limit
        self._limit_per_caller = limit_per_caller
        self._lists_per_caller = lists_per_caller
        self._lock = threading.Lock()
        self._subscriptions: dict[Subscription, tuple[str, bool]] = {}
        """Each with its caller's user id, and whether it is for a list."""
        self._held: Counter[tuple[str, bool]] = Counter()
        self._is_shutting_down = False

    def reserve(self, user_id: str, *, for_list: bool = False) -> Subscription:
        """Reserve a subscription that is not started yet.

        Raises TooManyWaitingError or TooManyListStreamsError.
        """
        with self._lock:
            lists = self._held[user_id, True]
            if len(self._subscriptions) >= self._limit:
                raise TooManyWaitingError(self._limit, is_own=False)
            if lists + self._held[user_id, False] >= self._limit_per_caller:
                raise TooManyWaitingError(self._limit_per_caller, is_own=True)
            if for_list and lists >= self._lists_per_caller:
                raise TooManyListStreamsError(self._lists_per_caller)
            subscription = Subscription(self._changes, self._remove)
            self._subscriptions[subscription] = (user_id, for_list)
            self._held[user_id, for_list] += 1
            if self._is_shutting_down:
                subscription.shut_down()
            return subscription

    @property
    def waiting(self) -> int:
        with self._lock:
            return len(self._subscriptions)

    def shut_down(self) -> None:
        """End all waits, current and future, because the process is stopping."""
        with self._lock:
            self._is_shutting_down = True
            subscriptions = tuple(self._subscriptions)
        for subscription in subscriptions:
            subscription.shut_down()

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            held = self._subscriptions.pop(subscription)
            self._held[held] -= 1
            if not self._held[held]:
                del self._held[held]
