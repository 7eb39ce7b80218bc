"""Follow a task: wait for its changes without polling the store.

Each waiting caller takes one of a limited number of slots in the process. A slot keeps the newest
state: a slow reader misses states in between but never the newest one.
"""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from common.domain.task import Task
from frontend_api.streams.ports import Sighting, TaskWatch


class NoPlaceLeftError(Exception):
    """All slots for waiting callers in this process are taken."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} callers are waiting for changes here already, as many as may")


class Follower:
    """A slot for one waiting caller.

    `select` and `poll` report it as readable after an event, until `hush` is called. It is a
    context manager: leaving it releases the slot.
    """

    def __init__(self, watch: TaskWatch, give_back: Callable[["Follower"], None]) -> None:
        self._watch = watch
        self._give_back = give_back
        self._lock = threading.Lock()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._is_ringing = False
        self._untaken: Sighting | None = None
        self._unfollow: Callable[[], None] | None = None
        self._is_closed = False
        self.must_end = False
        """Set when the process stops: the caller must stop waiting."""

    def follow(self, task: Task) -> None:
        """Receive every state newer than `task` from now on."""
        self._unfollow = self._watch.follow(task, self._hear)

    @property
    def has_news(self) -> bool:
        """Whether there is a state to take."""
        return self._untaken is not None

    def take(self) -> Sighting | None:
        """Return the newest state that was not taken before, or None."""
        with self._lock:
            taken, self._untaken = self._untaken, None
        return taken

    def hush(self) -> None:
        """Clear the readable signal; call it before checking what has happened."""
        with self._lock:
            if self._is_ringing:
                self._bell.recv(1)
                self._is_ringing = False

    def fileno(self) -> int:
        """The file descriptor for `select` and `poll`."""
        return self._bell.fileno()

    def end(self) -> None:
        """Wake the waiting caller and set `must_end`."""
        with self._lock:
            self.must_end = True
            self._ring()

    def close(self) -> None:
        """Release the slot. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._unfollow is not None:
            self._unfollow()
        self._bell.close()
        self._rope.close()
        self._give_back(self)

    def _hear(self, sighting: Sighting) -> None:
        with self._lock:
            self._untaken = sighting
            self._ring()

    def _ring(self) -> None:
        if not self._is_ringing and not self._is_closed:
            self._is_ringing = True
            self._rope.send(b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FollowTask:
    """Hands out a limited number of Followers per process."""

    def __init__(self, *, watch: TaskWatch, most: int) -> None:
        self._watch = watch
        self._most = most
        self._lock = threading.Lock()
        self._followers: set[Follower] = set()
        self._is_ending = False

    def take_place(self) -> Follower:
        """Take a slot that follows no task yet. Raises NoPlaceLeftError."""
        with self._lock:
            if len(self._followers) >= self._most:
                raise NoPlaceLeftError(self._most)
            follower = Follower(self._watch, self._given_back)
            self._followers.add(follower)
            if self._is_ending:
                follower.end()
            return follower

    def __call__(self, task: Task) -> Follower:
        """Take a slot that receives every state newer than `task`. Raises NoPlaceLeftError."""
        follower = self.take_place()
        follower.follow(task)
        return follower

    @property
    def waiting(self) -> int:
        """How many slots are taken."""
        with self._lock:
            return len(self._followers)

    def end_all(self) -> None:
        """End all waits, current and future, because the process is stopping."""
        with self._lock:
            self._is_ending = True
            followers = tuple(self._followers)
        for follower in followers:
            follower.end()

    def _given_back(self, follower: Follower) -> None:
        with self._lock:
            self._followers.discard(follower)
