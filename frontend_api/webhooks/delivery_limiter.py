"""DeliveryLimiter: limits concurrent tries, so that a receiver that hangs does not delay others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common.domain.errors import DomainError


class ReceiverBusyError(DomainError):
    """The limit of concurrent tries is reached. A later try may find a free slot."""

    code = "receiver_busy"
    retryable = True
    retry_after_seconds = 2


class DeliveryLimiter:
    """The slots of one process.

    `in_all` is below the process's number of threads, which keeps some for API callers.
    """

    def __init__(self, *, per_host: int, in_all: int) -> None:
        self._per_host = per_host
        self._in_all = in_all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, host: str) -> Iterator[None]:
        """Hold a slot. Raises ReceiverBusyError when none is free: Pub/Sub waits at less cost."""
        self._acquire(host)
        try:
            yield
        finally:
            with self._lock:
                self._taken[host] -= 1
                self._taken += Counter()  # drops counts of zero, so that idle hosts use no memory

    def _acquire(self, host: str) -> None:
        with self._lock:
            if self._taken[host] >= self._per_host or self._taken.total() >= self._in_all:
                raise ReceiverBusyError("the limit of concurrent webhook deliveries is reached")
            self._taken[host] += 1
