"""CallbackUrlPolicy: the URLs and addresses that webhooks may be sent to. Pure.

A submission checks the URL. Each try checks it again, and every address of its host.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from common.domain.errors import DomainError

MAX_URL_CHARACTERS = 2_000
Address = IPv4Address | IPv6Address

_PLAIN_URL = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_PORTS = {"https": 443, "http": 80}
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_LAST_32_BITS = 0xFFFFFFFF


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
class CallbackUrlPolicy:
    """Allows https to public addresses.

    `allows_loopback` also allows this machine's own addresses, by http too, for the local stack.
    """

    is_enabled: bool = True
    """False without a key to derive secrets from."""
    allows_loopback: bool = False

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
        return CallbackUrl(
            scheme=parts.scheme,
            host=host,
            port=port or _PORTS[parts.scheme],
            target=f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}",
        )

    def check_address(self, address: Address) -> None:
        """Raise CallbackRefusedError if connecting to the address is not allowed."""
        meant = _meant_by(address)
        if self.allows_loopback and meant.is_loopback:
            return
        is_site_local = isinstance(meant, IPv6Address) and meant.is_site_local
        if not meant.is_global or meant.is_multicast or meant.is_reserved or is_site_local:
            raise CallbackRefusedError(f"leads to {address}, which is not a public address")

    def _check_parts(self, parts: SplitResult, host: str) -> None:
        if parts.scheme not in _PORTS or (parts.scheme == "http" and not self._is_own(host)):
            raise CallbackRefusedError("must be https")
        if parts.port == 0:
            raise CallbackRefusedError("must name a port that can be connected to")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise CallbackRefusedError("must have no user, password or fragment")
        address = _literal(host)
        if address is not None:
            self.check_address(address)
        elif not _HOST.fullmatch(host):
            raise CallbackRefusedError("must name a host, in ASCII")

    def _is_own(self, host: str) -> bool:
        address = _literal(host)
        is_loopback = host == "localhost" if address is None else address.is_loopback
        return self.allows_loopback and is_loopback


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _meant_by(address: Address) -> Address:
    """Return the address that packets reach: several kinds of IPv6 address embed an IPv4 one."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & _LAST_32_BITS)
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    return inside or address
