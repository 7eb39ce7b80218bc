"""SystemResolver: what addresses a host's name means, in bounded time."""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from ipaddress import ip_address

from frontend_api.callback_rules import Address

AddressesOf = Callable[[str, float], Sequence[Address]]
"""The addresses of a host, found within so many seconds. Raises UnresolvableError."""


class UnresolvableError(Exception):
    """The host's name means no address now; the message ends the sentence "the callback URL …"."""


class SystemResolver:
    """An AddressesOf: asks the system's resolver, which itself knows no deadline, on threads of its own."""

    def __init__(self, *, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resolver")

    def __call__(self, host: str, timeout_seconds: float) -> Sequence[Address]:
        """See AddressesOf."""
        try:
            return self._pool.submit(_addresses_of, host).result(timeout_seconds)
        except FutureTimeoutError as error:
            raise UnresolvableError("could not be resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise UnresolvableError("leads to a host that cannot be resolved") from error


def _addresses_of(host: str) -> Sequence[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # Once each, in the order that the system prefers; a zone (`%eth0`) belongs to addresses that are refused anyway.
    return tuple(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))
