"""DeliveryLimiter: limits concurrent tries, so that receivers that hang do not delay others."""

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
    `per_caller` bounds a caller with many host names.
    """

    def __init__(self, *, per_host: int, per_caller: int, in_all: int) -> None:
        self._per_host = per_host
        self._per_caller = per_caller
        self._in_all = in_all
        self._hosts: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, host: str, *, user_id: str) -> Iterator[None]:
        """Hold a slot. Raises ReceiverBusyError when none is free: Pub/Sub waits at less cost."""
        self._acquire(host, user_id)
        try:
            yield
        finally:
            with self._lock:
                # Subtraction drops counts of zero, so that idle hosts and callers use no memory.
                self._hosts -= Counter((host,))
                self._callers -= Counter((user_id,))

    def _acquire(self, host: str, user_id: str) -> None:
        with self._lock:
            if (
                self._hosts.total() >= self._in_all
                or self._hosts[host] >= self._per_host
                or self._callers[user_id] >= self._per_caller
            ):
                raise ReceiverBusyError("the limit of concurrent webhook deliveries is reached")
            self._hosts[host] += 1
            self._callers[user_id] += 1
