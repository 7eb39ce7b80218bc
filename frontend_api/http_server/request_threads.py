"""RequestThreads: threads that serve the callers' requests in turn."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from frontend_api.fair_queue import FairQueue
from frontend_api.fair_shares import FairShares

_RESERVE = 64
"""Of the last free threads, an address gets one only if more are free than it has."""
_TIMES_BEYOND = 3
"""How many times its threads a user may have in a burst whose credentials were unknown when it began."""


class RequestThreads:
    """A pool of threads with a queue of each caller in front of it.

    A caller is a network address. A burst delays the other requests of its address only. A caller may
    use all threads but a reserve, and half of the queue alone. Beyond that it gets a thread or a place
    in the queue only if more are left than it has. A user has at most `per_user` threads from all
    addresses: requests may keep theirs for long.
    """

    def __init__(self, threads: int, *, waiting: int, name: str, per_user: int = sys.maxsize) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.at_most = threads + waiting + waiting * 3 // 5
        """How many requests of all callers may be in progress."""
        self._in_progress = FairShares(threads + waiting // 2, at_most=self.at_most)
        self._per_user = per_user
        self._users = FairQueue(sys.maxsize, per_caller=per_user)
        self._queue = FairQueue(threads, reserve=min(threads // 4, _RESERVE))

    def are_awaited(self, caller: str) -> bool:
        """Return whether a request waits for a thread that this caller has."""
        return self._queue.is_delayed_by(caller)

    def admits(self, caller: str) -> bool:
        """Return whether this caller may have a further request in progress."""
        return self._in_progress.admits(caller)

    def enter(self, caller: str, start: Callable[[], object], *, user: str | None = None) -> None:
        """Call `start`, which submits the request to the pool, when it is the turn of its user and address.

        That is at once, or within a call of `leave`. `user` is None until the user is known.
        """
        self._in_progress.take(caller)
        start = partial(self._queue.enter, caller, start)
        if user is None:
            start()
        else:
            self._users.enter(user, start)

    def identify(self, user: str) -> bool:
        """Count the thread of a request for its user, who was not known. Return False if it has far too many."""
        return self._users.count(user) <= _TIMES_BEYOND * self._per_user

    def leave(self, caller: str, *, user: str | None = None) -> None:
        """Record that a request of this caller has ended."""
        self._in_progress.give_back(caller)
        self._queue.leave(caller)
        if user is not None:
            self._users.leave(user)
