"""HostSlots: how many tries may be under way at once, so that a receiver that answers nobody holds up nobody else."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common.domain.errors import DomainError


class ReceiverBusyError(DomainError):
    """As many tries as may be are under way; a later one will find a place."""

    code = "receiver_busy"
    retryable = True


class HostSlots:
    """Those of one process. `in_all` is less than the process has threads: some are always left for callers."""

    def __init__(self, *, per_host: int, in_all: int) -> None:
        self._per_host = per_host
        self._in_all = in_all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one_of(self, host: str) -> Iterator[None]:
        """Hold a slot. Raises ReceiverBusyError at once when none is free: Pub/Sub waits better than a thread."""
        self._take(host)
        try:
            yield
        finally:
            with self._lock:
                self._taken[host] -= 1
                self._taken += Counter()  # keeps those above zero: no host is remembered for ever

    def _take(self, host: str) -> None:
        with self._lock:
            if self._taken[host] >= self._per_host or self._taken.total() >= self._in_all:
                raise ReceiverBusyError("as many deliveries as may be are under way")
            self._taken[host] += 1
