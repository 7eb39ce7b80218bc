"""RequestThreads: threads that serve the callers' requests in turn."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from frontend_api.fair_queue import FairQueue
from frontend_api.fair_shares import FairShares

_RESERVE = 64
"""Threads for addresses that have few: requests may keep theirs for long, and those of one address most."""
_FEW = 8


class RequestThreads:
    """A pool of threads with a queue of each caller in front of it. Used by one thread.

    A caller is a network address. A burst delays the other requests of its address only. A caller may
    use all threads but a reserve, and half of the queue alone; beyond that it gets an equal share of
    all requests. The last threads and the last places are for callers with few requests.
    """

    def __init__(self, threads: int, *, waiting: int, name: str) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        places_in_reserve = waiting * 3 // 5
        self.at_most = threads + waiting + places_in_reserve
        """How many requests of all callers may be in progress."""
        reserve = min(threads // 4, _RESERVE)
        few = min(max(1, reserve), _FEW)
        self._queue = FairQueue(threads, reserve=reserve, few=few)
        self._in_progress = FairShares(
            threads + waiting // 2, at_most=self.at_most, reserve=places_in_reserve, few=few
        )

    def are_awaited(self, caller: str) -> bool:
        """Return whether a request waits for a thread that this caller has."""
        return self._queue.is_delayed_by(caller)

    def admits(self, caller: str) -> bool:
        """Return whether this caller may have a further request in progress."""
        return self._in_progress.admits(caller)

    def enter(self, caller: str, start: Callable[[], object]) -> None:
        """Call `start`, which submits the request to the pool, when it is the caller's turn.

        That is at once or within a call of `leave`.
        """
        self._in_progress.take(caller)
        self._queue.enter(caller, start)

    def leave(self, caller: str) -> None:
        """Record that a request of this caller has ended."""
        self._in_progress.give_back(caller)
        self._queue.leave(caller)
