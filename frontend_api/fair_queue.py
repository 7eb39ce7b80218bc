"""FairQueue: work that waits for capacity of this process, each caller's in a queue of its own."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

_Start = Callable[[], object]


@dataclass(slots=True)
class _Backlog:
    """Work of one caller that waits: what returns comes before what is new."""

    since: int
    """The number of starts at its latest turn, or when it began."""
    returning: deque[_Start] = field(default_factory=deque)
    new: deque[_Start] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self.returning or self.new)

    def next(self) -> _Start:
        return (self.returning or self.new).popleft()

    def remove(self, start: _Start) -> bool:
        """Return whether the work was here."""
        for each in (self.returning, self.new):
            if start in each:
                each.remove(start)
                return True
        return False


class FairQueue:
    """Starts at most `capacity` pieces of work at once, of each caller at most `per_caller`. Thread-safe.

    The callers take turns. One that enters without running work comes before those that have a
    backlog, so a burst delays other callers by one piece of work and not by the whole burst. A
    backlog that many others have passed is not passed any more, so no caller waits forever. Of the
    last `reserve` free places, a caller gets one only if more are free than it has.
    """

    def __init__(self, capacity: int, *, per_caller: int | None = None, reserve: int = 0) -> None:
        self._free = capacity
        self._per_caller = capacity if per_caller is None else per_caller
        self._reserve = reserve
        self._patience = 2 * capacity
        """How much work of others may start while a caller waits, before it is its turn."""
        self._starts = 0
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, _Backlog] = {}
        """The callers are in the order of their turns."""
        self._new: set[str] = set()
        """Waiting callers that had no running work when they entered."""

    def is_delayed_by(self, caller: str) -> bool:
        """Return whether work waits for capacity that this caller has."""
        with self._lock:
            return caller in self._waiting or (bool(self._waiting) and not self._has_place_for(caller))

    def enter(self, caller: str, start: _Start, *, returns: bool = False) -> None:
        """Call `start` as soon as there is capacity, in this thread or in one that calls `leave`.

        `start` must only hand the work over: the queue is locked meanwhile. Work that `returns`, because
        it has left its capacity for a while, comes before other work of its caller.
        """
        with self._lock:
            if caller not in self._waiting and not self._running[caller]:
                self._new.add(caller)
            backlog = self._waiting.setdefault(caller, _Backlog(since=self._starts))
            (backlog.returning if returns else backlog.new).append(start)
            self._start_waiting()

    def leave(self, caller: str) -> None:
        """Release the capacity of one finished piece of work of this caller."""
        with self._lock:
            self._free += 1
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
            self._start_waiting()

    def take(self, caller: str) -> bool:
        """Count work of this caller that runs already. Return False if it would have to wait."""
        with self._lock:
            if caller in self._waiting or not self._may_start(caller):
                return False
            self._count(caller)
            return True

    def withdraw(self, caller: str, start: _Start) -> bool:
        """Remove work that waits; return False if it has started."""
        with self._lock:
            waiting = self._waiting.get(caller)
            if waiting is None or not waiting.remove(start):
                return False
            if not waiting:
                del self._waiting[caller]
                self._new.discard(caller)
            return True

    def _start_waiting(self) -> None:
        while self._free and (caller := self._next_caller()) is not None:
            waiting = self._waiting.pop(caller)
            self._new.discard(caller)
            start = waiting.next()
            self._starts += 1
            waiting.since = self._starts
            if waiting:
                self._waiting[caller] = waiting  # behind the others
            self._count(caller)
            start()

    def _count(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] += 1

    def _next_caller(self) -> str | None:
        return min(filter(self._may_start, self._waiting), key=self._is_passed, default=None)

    def _is_passed(self, caller: str) -> bool:
        """Return whether callers that enter later may come first."""
        has_patience = self._starts - self._waiting[caller].since < self._patience
        return caller not in self._new and has_patience

    def _may_start(self, caller: str) -> bool:
        return self._running[caller] < self._per_caller and self._has_place_for(caller)

    def _has_place_for(self, caller: str) -> bool:
        return self._free > min(self._reserve, self._running[caller])
