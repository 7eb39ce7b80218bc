"""Limits of concurrent tries, so that receivers that hang do not delay others."""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Set
from contextlib import contextmanager
from typing import TypeAlias

from cachetools import LRUCache

from common.domain.errors import DomainError
from frontend_api.webhooks.url_policy import Address

_Key: TypeAlias = tuple[str, ...]
_SILENT_KNOWN = 4_096
_SILENT: _Key = ("silent",)
_ALL_CALLERS = 2
"""All callers together have this many times one caller's slots of a receiver, which the tries of one
caller may occupy for as long as they hang.
"""


class ReceiverBusyError(DomainError):
    """The limit of concurrent tries is reached. A later try may find a free slot."""

    code = "receiver_busy"

    def __init__(self, *, is_own: bool) -> None:
        super().__init__("the limit of concurrent webhook deliveries is reached")
        self.is_own = is_own
        """Whether the caller's own tries hold its slots, and not only those of others."""


class DeliveryLimiter:
    """The slots of one process.

    `per_host` are those of one caller. `in_all` is below the process's number of threads, which keeps
    some for API callers. `per_caller` bounds a caller with many host names. The last quarter is for
    callers that hold none.
    """

    def __init__(self, *, per_host: int, per_caller: int, in_all: int) -> None:
        self._per_host = per_host
        self._per_caller = per_caller
        self._in_all = in_all
        self._held: Counter[_Key] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, host: str, *, user_id: str) -> Iterator[None]:
        """Hold a slot. Raises ReceiverBusyError when none is free: a try that waits would hold a thread."""
        limits: dict[_Key, int] = {
            ("all",): self._in_all,
            ("caller", user_id): self._per_caller,
            ("host", host): self._per_host * _ALL_CALLERS,
            ("host", host, user_id): self._per_host,
        }
        with self._lock:
            if self._held["caller", user_id]:
                limits |= {("all",): self._in_all - self._in_all // 4}
            _check(self._held, limits, own={("caller", user_id), ("host", host, user_id)})
            self._held.update(limits.keys())
        try:
            yield
        finally:
            with self._lock:
                # Subtraction drops counts of zero, so that idle hosts and callers use no memory.
                self._held -= Counter(limits.keys())


class AddressLimiter:
    """Limits the concurrent tries of one process to one network address.

    A caller may have any number of host names for one address. An IPv6 network of 64 bits counts as
    one address. An address whose latest try for a caller had no response is silent for that caller: it
    gets one try at a time, as do all silent addresses of a caller together. Those of all callers get
    `silent_in_all`, so that the other slots stay free. Callers share addresses, for example those of a
    content delivery network, and any caller can let a host name lead to another caller's receiver:
    tries of one caller leave slots to the others.
    """

    def __init__(self, *, per_address: int, silent_in_all: int) -> None:
        self._per_address = per_address
        """The slots of one caller."""
        self._silent_in_all = silent_in_all
        self._held: Counter[_Key] = Counter()
        self._silent: MutableMapping[_Key, bool] = LRUCache(_SILENT_KNOWN)
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, addresses: Iterable[Address], *, user_id: str) -> Iterator[None]:
        """Hold a slot of each of a receiver's addresses during a try.

        An exception means that the try had no response. Raises ReceiverBusyError when no slot is free.
        """
        networks: set[_Key] = {(_network_of(address),) for address in addresses}
        own: set[_Key] = {(*network, user_id) for network in networks}
        held = self._acquire(networks, own, user_id)
        had_response = False
        try:
            yield
            had_response = True
        finally:
            with self._lock:
                self._held -= held
                for each in own:
                    if had_response:
                        self._silent.pop(each, None)
                    else:
                        self._silent[each] = True

    def _acquire(self, networks: set[_Key], own: set[_Key], user_id: str) -> Counter[_Key]:
        """Return what is held, each key once."""
        with self._lock:
            limits = dict.fromkeys(networks, self._per_address * _ALL_CALLERS)
            if any(each in self._silent for each in own):
                limits |= dict.fromkeys(own, 1)
                limits |= {_SILENT: self._silent_in_all, (*_SILENT, user_id): 1}
            else:
                limits |= dict.fromkeys(own, self._per_address)
            _check(self._held, limits, own={*own, (*_SILENT, user_id)})
            held = Counter(limits.keys())
            self._held += held
            return held


def _check(held: Counter[_Key], limits: Mapping[_Key, int], *, own: Set[_Key]) -> None:
    """Raise ReceiverBusyError if a limit is reached. `own` are the keys that no other caller holds."""
    full = {key for key, limit in limits.items() if held[key] >= limit}
    if full:
        raise ReceiverBusyError(is_own=bool(full & own))


def _network_of(address: Address) -> str:
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = 32 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))
