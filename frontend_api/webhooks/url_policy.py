"""CallbackUrlPolicy: the URLs and addresses that webhooks may be sent to. Pure.

A submission checks the URL. Each try checks it again, and every address of its host.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self
from urllib.parse import SplitResult, urlsplit

from common.domain.errors import DomainError

MAX_URL_CHARACTERS = 2_000
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PLAIN_URL = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_PORTS = {"https": 443, "http": 80}
_NAT64 = IPv6Network("64:ff9b::/96")
_LAST_32_BITS = 0xFFFFFFFF
_METADATA_HOSTS = frozenset(
    ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
)
_METADATA_NETWORKS = tuple(
    map(
        ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32")
    )
)
"""Link-local addresses, and the other addresses of clouds' metadata servers, which hold credentials."""

_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "64:ff9b:1::/48")))
"""Special-purpose networks that Python's `is_global` does not know."""
_WELL_KNOWN_PORTS = range(1, 1024)
"""Ports of other protocols, such as mail, which a request must not reach."""


class CallbackRefusedError(DomainError):
    """A webhook must not be sent to this URL; the message completes "the callback URL …"."""

    code = "callback_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrl:
    """The parts of a checked URL, so that no other parser reads it differently."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as they appear in the request line."""

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateReceivers:
    """The receivers that the operator allows although their addresses are not public."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    """Names; `.example.internal` stands for all names below it."""

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read networks (`10.1.0.0/16`), addresses and host names. Raises ValueError."""
        networks, hosts = [], set()
        for entry in entries:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if "/" in entry or not _HOST.fullmatch(entry.lower().removeprefix(".")):
                    raise ValueError(f"must be networks, addresses or host names (got {entry!r})") from None
                hosts.add(entry.lower())
        return cls(networks=tuple(networks), hosts=frozenset(hosts))

    def name(self, host: str) -> bool:
        parts = host.split(".")
        return host in self.hosts or any(
            f".{'.'.join(parts[n:])}" in self.hosts for n in range(1, len(parts))
        )

    def contain(self, host: str, address: Address) -> bool:
        return self.name(host) or any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrlPolicy:
    """Allows https to public addresses, and http or https to private receivers.

    `allows_loopback` also allows this machine's own addresses, by http too, for the local stack.
    Addresses of metadata servers are never allowed.
    """

    is_enabled: bool = True
    """False without a key to derive secrets from."""
    allows_loopback: bool = False
    private_receivers: PrivateReceivers = field(default_factory=PrivateReceivers)

    def parse(self, text: str) -> CallbackUrl:
        """Check a URL and return its parts. Raises CallbackRefusedError."""
        if not self.is_enabled:
            raise CallbackRefusedError("cannot be used: webhooks are not enabled in this deployment")
        if len(text) > MAX_URL_CHARACTERS or not _PLAIN_URL.fullmatch(text):
            raise CallbackRefusedError(
                f"must have at most {MAX_URL_CHARACTERS} characters, all printable ASCII"
            )
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise CallbackRefusedError("must be a URL") from error
        self._check_parts(parts, host)
        url = CallbackUrl(
            scheme=parts.scheme,
            host=host,
            port=port or _PORTS[parts.scheme],
            target=f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}",
        )
        if (address := _literal(host)) is not None:
            self.check_address(address, url)
        return url

    def check_address(self, address: Address, url: CallbackUrl) -> None:
        """Raise CallbackRefusedError if connecting to this address of the URL's host is not allowed."""
        meant = _meant_by(address)
        if any(meant in network for network in _METADATA_NETWORKS):
            raise CallbackRefusedError(f"leads to {address}, which may be a metadata server")
        if self.allows_loopback and meant.is_loopback:
            return
        is_unusable = meant.is_multicast or meant.is_unspecified
        if not is_unusable and self.private_receivers.contain(url.host, meant):
            return
        is_site_local = isinstance(meant, IPv6Address) and meant.is_site_local
        is_special = any(meant in network for network in _NOT_PUBLIC)
        if not meant.is_global or is_special or meant.is_multicast or meant.is_reserved or is_site_local:
            raise CallbackRefusedError(
                f"leads to {address}, which is not a public address; the operator can allow it"
            )
        if url.scheme != "https":
            raise CallbackRefusedError("must be https")

    def _check_parts(self, parts: SplitResult, host: str) -> None:
        if parts.scheme not in _PORTS or (parts.scheme == "http" and not self._may_be_http(host)):
            raise CallbackRefusedError("must be https")
        if parts.port == 0:
            raise CallbackRefusedError("must name a port that can be connected to")
        if parts.port in _WELL_KNOWN_PORTS and parts.port != _PORTS[parts.scheme]:
            raise CallbackRefusedError(f"must use port {_PORTS[parts.scheme]}, or a port from 1024")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise CallbackRefusedError("must have no user, password or fragment")
        if _literal(host) is None and not _HOST.fullmatch(host):
            raise CallbackRefusedError("must name a host, in ASCII")
        if host in _METADATA_HOSTS:
            raise CallbackRefusedError("leads to a metadata server")

    def _may_be_http(self, host: str) -> bool:
        """Return whether http is allowed, as far as the name shows.

        A name may resolve to an allowed network, which `check_address` decides.
        """
        address = _literal(host)
        is_loopback = host == "localhost" if address is None else address.is_loopback
        if self.allows_loopback and is_loopback:
            return True
        return bool(self.private_receivers.networks) or self.private_receivers.name(host)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _meant_by(address: Address) -> Address:
    """Return the address that packets reach: several kinds of IPv6 address embed an IPv4 one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _LAST_32_BITS)
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    return inside or address
