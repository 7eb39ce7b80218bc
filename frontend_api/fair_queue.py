"""FairQueue: work that waits for capacity of this process, each caller's in a queue of its own."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

_Start = Callable[[], object]


@dataclass(slots=True)
class _Backlog:
    """Work of one caller that waits: what returns comes before what is new."""

    returning: deque[_Start] = field(default_factory=deque)
    new: deque[_Start] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self.returning or self.new)

    def next(self) -> _Start:
        return (self.returning or self.new).popleft()


class FairQueue:
    """Starts at most `capacity` pieces of work at once, of each caller at most `per_caller`. Thread-safe.

    The callers take turns. One that enters without running work comes before those that have a
    backlog, so a burst delays other callers by one piece of work and not by the whole burst. After
    that it takes turns with the others, so no caller waits forever.
    """

    def __init__(self, capacity: int, *, per_caller: int | None = None) -> None:
        self._free = capacity
        self._per_caller = capacity if per_caller is None else per_caller
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, _Backlog] = {}
        """The callers are in the order of their turns."""
        self._new: set[str] = set()
        """Waiting callers that had no running work when they entered."""

    def is_delayed_by(self, caller: str) -> bool:
        """Return whether work waits for capacity that this caller has."""
        with self._lock:
            return caller in self._waiting or (not self._free and bool(self._waiting))

    def enter(self, caller: str, start: _Start, *, returns: bool = False) -> None:
        """Call `start` as soon as there is capacity, in this thread or in one that calls `leave`.

        `start` must only hand the work over: the queue is locked meanwhile. Work that `returns`, because
        it has left its capacity for a while, comes before other work of its caller.
        """
        with self._lock:
            if caller not in self._waiting and not self._running[caller]:
                self._new.add(caller)
            backlog = self._waiting.setdefault(caller, _Backlog())
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

    def withdraw(self, caller: str, start: _Start) -> bool:
        """Remove new work that waits; return False if it has started."""
        with self._lock:
            waiting = self._waiting.get(caller)
            if waiting is None or start not in waiting.new:
                return False
            waiting.new.remove(start)
            if not waiting:
                del self._waiting[caller]
                self._new.discard(caller)
            return True

    def _start_waiting(self) -> None:
        while self._free and (caller := self._next_caller()) is not None:
            waiting = self._waiting.pop(caller)
            self._new.discard(caller)
            start = waiting.next()
            if waiting:
                self._waiting[caller] = waiting  # behind the others
            self._free -= 1
            self._running[caller] += 1
            start()

    def _next_caller(self) -> str | None:
        ready = (each for each in self._waiting if self._running[each] < self._per_caller)
        return min(ready, key=lambda each: each not in self._new, default=None)
