"""Limits of concurrent tries, so that receivers that hang do not delay others."""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager

from cachetools import LRUCache

from common.domain.errors import DomainError
from frontend_api.webhooks.url_policy import Address

_SILENT_KNOWN = 4_096


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


class AddressLimiter:
    """Limits the concurrent tries of one process to one network address.

    A caller may have any number of host names for one address. An IPv6 network of 64 bits counts as
    one address. An address whose latest try had no response is silent: it gets one try at a time, and
    all silent addresses together get `silent_in_all`, so that the other slots stay free.
    """

    def __init__(self, *, per_address: int, silent_in_all: int) -> None:
        self._per_address = per_address
        self._silent_in_all = silent_in_all
        self._tries: Counter[str] = Counter()
        self._silent_tries = 0
        self._silent: MutableMapping[str, bool] = LRUCache(_SILENT_KNOWN)
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, addresses: Iterable[Address]) -> Iterator[None]:
        """Hold a slot of each of a receiver's addresses during a try.

        An exception means that the try had no response. Raises ReceiverBusyError when no slot is free.
        """
        networks = Counter({_network_of(address) for address in addresses})
        is_silent = self._acquire(networks)
        had_response = False
        try:
            yield
            had_response = True
        finally:
            with self._lock:
                self._tries -= networks
                self._silent_tries -= is_silent
                for network in networks:
                    if had_response:
                        self._silent.pop(network, None)
                    else:
                        self._silent[network] = True

    def _acquire(self, networks: Counter[str]) -> bool:
        with self._lock:
            is_silent = any(network in self._silent for network in networks)
            limit = 1 if is_silent else self._per_address
            if any(self._tries[network] >= limit for network in networks):
                raise ReceiverBusyError(
                    "the limit of concurrent webhook deliveries to one address is reached"
                )
            if is_silent and self._silent_tries >= self._silent_in_all:
                raise ReceiverBusyError(
                    "the limit of concurrent webhook deliveries to receivers without a response is reached"
                )
            self._tries += networks
            self._silent_tries += is_silent
            return is_silent


def _network_of(address: Address) -> str:
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = 32 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))
