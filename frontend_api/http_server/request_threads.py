"""RequestThreads: threads that serve the callers' requests in turn."""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from frontend_api.fair_queue import FairQueue
from frontend_api.fair_shares import FairShares

_RESERVE = 64
"""Of the last free threads, an address gets one only if more are free than it has."""


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """The place of a request among those in progress, and its place in the queues for threads."""

    address: str
    user: str | None
    """None until it is known."""
    kind: str
    """For example `GET /v1/tasks`. A user's requests of one kind and address wait for the earlier ones."""
    start: Callable[[], object]
    """Submits the request to the pool, which has a free thread."""
    waits: bool = False
    """It has waited for changes, and counts for its subscription until it ends."""

    @property
    def line(self) -> str:
        """The line of its user in which it waits."""
        return f"{self.address} {self.kind}"


class RequestThreads:
    """A pool of threads, with a queue of each user and of each network address in front of it.

    A burst delays the other requests of its address only. An address may use all threads but a
    reserve, and half of all places alone; a user a third, so that other users of its address have
    some. Beyond that they get more only if more are left. A user has at most `per_user(user)` threads
    from all addresses: requests may keep theirs for long. The pool has `slots` more threads, for
    requests that wait for changes. Those count neither for their address nor for their user.
    """

    def __init__(
        self,
        threads: int,
        *,
        waiting: int,
        name: str,
        slots: int = 0,
        per_user: Callable[[str], int] = lambda _user: sys.maxsize,
    ) -> None:
        self.pool = ThreadPoolExecutor(threads + slots, thread_name_prefix=name)
        self.at_most = threads + waiting + waiting * 3 // 5
        """How many requests of all callers may be in progress, besides those in slots."""
        self._of_addresses = FairShares(threads + waiting // 2, at_most=self.at_most)
        self._of_users = FairShares(threads, at_most=self.at_most, margin=2)
        self._users = _UserQueues(per_user)
        self._addresses = FairQueue(threads, reserve=min(threads // 4, _RESERVE))

    def are_awaited(self, place: Place) -> bool:
        """Return whether a request waits for the thread that this one has, or for another of its address."""
        return not place.waits and self._addresses.is_delayed_by(place.address)

    def admits(self, address: str, user: str | None) -> bool:
        """Return whether this caller may have a further request in progress."""
        return self._of_addresses.admits(address) and (user is None or self.admits_user(user))

    def admits_user(self, user: str) -> bool:
        return self._of_users.admits(user)

    def enter(self, place: Place) -> None:
        """Call `start` when it is the turn of the request's user and address.

        That is at once, or within a call of another method.
        """
        self._of_addresses.take(place.address)
        if place.user is not None:
            self._of_users.take(place.user)
        self._enqueue(place)

    def identify(self, place: Place, user: str) -> bool:
        """Count a request that has a thread for its user, who was unknown.

        Return False if the user has too many threads. The request must be put back then, or end.
        """
        if not self._users.take(user, place.line):
            return False
        self._of_users.take(user)
        place.user = user
        return True

    def put_back(self, place: Place, user: str) -> None:
        """Queue a request again whose thread is free, and whose user was unknown."""
        self._addresses.leave(place.address)
        self._of_users.take(user)
        place.user = user
        self._enqueue(place)

    def begin_wait(self, place: Place) -> None:
        """Move a request to a slot, in which it stays.

        It has one of the process's subscriptions, of which there are `slots`, until its response is sent.
        """
        self.leave(place)
        place.waits = True

    def leave(self, place: Place) -> None:
        """Record that a request has ended."""
        if place.waits:
            return
        self._of_addresses.give_back(place.address)
        self._addresses.leave(place.address)
        if place.user is not None:
            self._of_users.give_back(place.user)
            self._users.leave(place.user, place.line)

    def _enqueue(self, place: Place) -> None:
        start = partial(self._addresses.enter, place.address, place.start)
        if place.user is None:
            start()
        else:
            self._users.enter(place.user, place.line, start)


class _UserQueues:
    """A queue of each user with requests, in which the user's lines take turns. Thread-safe."""

    def __init__(self, per_user: Callable[[str], int]) -> None:
        self._per_user = per_user
        self._lock = threading.Lock()
        self._queues: dict[str, FairQueue] = {}
        self._requests: Counter[str] = Counter()
        """Of each user with a queue."""

    def enter(self, user: str, line: str, start: Callable[[], object]) -> None:
        self._joined(user).enter(line, start)

    def take(self, user: str, line: str) -> bool:
        """Count a request that has a thread, if it need not wait for one."""
        is_taken = self._joined(user).take(line)
        if not is_taken:
            self._forget(user)
        return is_taken

    def leave(self, user: str, line: str) -> None:
        self._queues[user].leave(line)
        self._forget(user)

    def _joined(self, user: str) -> FairQueue:
        with self._lock:
            self._requests[user] += 1
            if user not in self._queues:
                threads = self._per_user(user)
                self._queues[user] = FairQueue(threads, reserve=threads // 4)
            return self._queues[user]

    def _forget(self, user: str) -> None:
        with self._lock:
            self._requests[user] -= 1
            if not self._requests[user]:
                del self._requests[user], self._queues[user]
