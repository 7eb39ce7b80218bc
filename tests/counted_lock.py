"""CountedLock: a lock that shows how many threads have requested it."""

import threading
from types import TracebackType


class CountedLock:
    """Use in place of a `threading.Lock`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = threading.Semaphore(0)

    def wait_until_requested(self, times: int) -> None:
        """Return once so many threads hold the lock, wait for it or have held it."""
        assert all(self._requests.acquire(timeout=60) for _ in range(times))

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._requests.release()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()
