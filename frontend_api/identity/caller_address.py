"""The network address of a caller, which may be known from a proxy."""

import ipaddress
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The proxies in front of the API, whose entries of X-Forwarded-For are true."""

    count: int = 0
    """How many proxies append the address of their own caller."""
    networks: Container[str] = frozenset()
    """Networks of load balancers that also append their own address, as Google's do."""

    def network_of_caller(self, peer: str, forwarded_for: tuple[str, ...]) -> str:
        """Return the network of a request's caller.

        Earlier entries than those of the proxies are ignored, because the caller wrote them. Only
        proxies write at the end of the list: there, entries of load balancers are skipped. Requests
        that bypass the load balancer have none.
        """
        if not self.count:
            return network_of(peer)
        while forwarded_for and network_of(forwarded_for[-1]) in self.networks:
            forwarded_for = forwarded_for[:-1]
        return network_of(forwarded_for[-self.count] if self.count <= len(forwarded_for) else peer)

    def network_of(self, environ: Mapping[str, Any]) -> str:
        """Do the same for a request of WSGI."""
        entries = (entry.strip() for entry in environ.get("HTTP_X_FORWARDED_FOR", "").split(","))
        return self.network_of_caller(environ.get("REMOTE_ADDR", ""), tuple(filter(None, entries)))


_WITH_PORT = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+")
"""Some proxies append the caller's port: 203.0.113.7:443, [2001:db8::1]:443."""


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and the /64 of an IPv6 address, without a port."""
    match = _WITH_PORT.fullmatch(address)
    host = address if match is None else match[1] or match[2]
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # the form in which a dual-stack socket reports IPv4 callers
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
