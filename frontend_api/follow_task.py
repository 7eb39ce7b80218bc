"""Follow a task: wait for its changes without asking for them again and again.

Whoever waits takes a place, of which there are so many in a process; the newest state waits there to be taken. A slow
taker misses states in between and never the newest one.
"""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from common.domain.task import Task
from frontend_api.ports import Sighting, TaskWatch


class NoPlaceLeftError(Exception):
    """As many callers wait in this process as may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} callers are waiting for changes here already, as many as may")


class Follower:
    """A place to wait at. `select` and `poll` find it readable from when something happened until it is hushed.

    A context manager: leaving it gives the place back.
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
        """Set once the process is stopping: nobody may wait any longer."""

    def follow(self, task: Task) -> None:
        """Hear from now on of every state newer than `task`."""
        self._unfollow = self._watch.follow(task, self._hear)

    @property
    def has_news(self) -> bool:
        """Whether there is a state to take."""
        return self._untaken is not None

    def take(self) -> Sighting | None:
        """The newest state that was not taken before; None without one."""
        with self._lock:
            taken, self._untaken = self._untaken, None
        return taken

    def hush(self) -> None:
        """Stop ringing, before looking at what has happened."""
        with self._lock:
            if self._is_ringing:
                self._bell.recv(1)
                self._is_ringing = False

    def fileno(self) -> int:
        """For `select` and `poll`."""
        return self._bell.fileno()

    def end(self) -> None:
        """Wake whoever waits here, for good."""
        with self._lock:
            self.must_end = True
            self._ring()

    def close(self) -> None:
        """Give the place back; closing twice is no error."""
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
    """The use case: as many Followers as a process may have at once."""

    def __init__(self, *, watch: TaskWatch, most: int) -> None:
        self._watch = watch
        self._most = most
        self._lock = threading.Lock()
        self._followers: set[Follower] = set()
        self._is_ending = False

    def take_place(self) -> Follower:
        """A place that follows nothing yet. Raises NoPlaceLeftError."""
        with self._lock:
            if len(self._followers) >= self._most:
                raise NoPlaceLeftError(self._most)
            follower = Follower(self._watch, self._given_back)
            self._followers.add(follower)
            if self._is_ending:
                follower.end()
            return follower

    def __call__(self, task: Task) -> Follower:
        """A place that hears of every state newer than `task`. Raises NoPlaceLeftError."""
        follower = self.take_place()
        follower.follow(task)
        return follower

    @property
    def waiting(self) -> int:
        """How many places are taken."""
        with self._lock:
            return len(self._followers)

    def end_all(self) -> None:
        """Have nobody wait any longer, now or later: the process is stopping."""
        with self._lock:
            self._is_ending = True
            followers = tuple(self._followers)
        for follower in followers:
            follower.end()

    def _given_back(self, follower: Follower) -> None:
        with self._lock:
            self._followers.discard(follower)
