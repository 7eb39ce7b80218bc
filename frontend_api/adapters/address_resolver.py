"""SystemResolver: resolves a host name to addresses, within a timeout."""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from ipaddress import ip_address

from frontend_api.webhooks.url_policy import Address

AddressesOf = Callable[[str, float], Sequence[Address]]
"""Return the addresses of a host within the given seconds. Raises UnresolvableError."""


class UnresolvableError(Exception):
    """The host name does not resolve. The message completes the sentence "the callback URL …"."""


_THREADS_PER_LOOKUP = 4
"""A lookup that was cut off keeps its thread until the system's resolver gives up, which may take a
minute. Meanwhile, the same caller may begin others.
"""


class SystemResolver:
    """An AddressesOf that calls the system's resolver, which has no timeout, on its own threads."""

    def __init__(self, *, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once * _THREADS_PER_LOOKUP, thread_name_prefix="resolver")

    def __call__(self, host: str, timeout_seconds: float) -> Sequence[Address]:
        try:
            return self._pool.submit(_addresses_of, host).result(timeout_seconds)
        except FutureTimeoutError as error:
            raise UnresolvableError("could not be resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise UnresolvableError("leads to a host that cannot be resolved") from error


def _addresses_of(host: str) -> Sequence[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # Without duplicates, in the order that the system prefers. A zone (`%eth0`) only occurs on
    # addresses that the callback rules refuse.
    return tuple(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))
