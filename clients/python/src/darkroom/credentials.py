"""The API's address and the caller's credentials, from arguments or the environment."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from darkroom.errors import ConfigurationError

DEFAULT_URL = "http://localhost:8080"
URL_VARIABLE = "DARKROOM_URL"
TOKEN_VARIABLE = "DARKROOM_TOKEN"  # noqa: S105 (a variable's name)
API_KEY_VARIABLE = "DARKROOM_API_KEY"
ALLOW_HTTP_VARIABLE = "DARKROOM_ALLOW_HTTP"
_LARGEST_PORT = 65_535
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an API, and the headers that authenticate the caller."""

    url: str
    credentials: Mapping[str, str] = field(repr=False)


def resolve_address(
    *,
    url: str | None,
    token: str | None,
    api_key: str | None,
    allow_http: bool | None = None,
    environment: Mapping[str, str],
) -> Address:
    """Resolve address and credentials.

    A token or key given as an argument overrides both variables. Raises ConfigurationError, also
    for credentials over http unless the host is a loopback or private address or `allow_http` is
    set.
    """
    if token is None and api_key is None:
        token, api_key = environment.get(TOKEN_VARIABLE) or None, environment.get(API_KEY_VARIABLE) or None
    if token is not None and api_key is not None:
        raise ConfigurationError("both a token and an API key are given: give only one of them")
    address = Address(
        url=_checked_url(url or environment.get(URL_VARIABLE) or DEFAULT_URL),
        credentials=_credentials(token, api_key),
    )
    if allow_http is None:
        allow_http = environment.get(ALLOW_HTTP_VARIABLE) == "1"
    if address.credentials and not allow_http:
        _check_transport(httpx.URL(address.url))
    return address


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def has_port(url: httpx.URL) -> bool:
    """Return whether the port of an address can exist, which httpx does not check."""
    return (url.port or 0) <= _LARGEST_PORT


def _check_transport(url: httpx.URL) -> None:
    """Refuse to send credentials that any host on the way could read."""
    if url.scheme == "http" and not is_loopback(url.host) and not _is_private_address(url.host):
        raise ConfigurationError(
            f"the token or API key is not sent over http to {url.host}, because hosts on the way could read it: "
            f"use https, or set allow_http=True ({ALLOW_HTTP_VARIABLE}=1) on a network that you trust"
        )


def _is_private_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _checked_url(url: str) -> str:
    if not isinstance(url, str):
        raise ConfigurationError(f"the address must be text (got {type(url).__name__})")
    may_have_secrets = any(mark in url for mark in "@?#")
    shown = "the address" if may_have_secrets else repr(url)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        reason = "it cannot be read" if may_have_secrets else str(error)
        raise ConfigurationError(f"{shown} is not valid: {reason}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{shown} is not valid: it must be http:// or https:// and a host")
    if not has_port(parsed):
        raise ConfigurationError(f"{shown} is not valid: its port is too large")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError("the address must not contain a user name, password, query or fragment")
    return url.rstrip("/")


def _credentials(token: str | None, api_key: str | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Bearer {_checked_secret(token, 'token')}"}
    if api_key is not None:
        return {"Authorization": f"Bearer {_checked_secret(api_key, 'API key')}"}
    return {}


def _checked_secret(secret: str, kind: str) -> str:
    if not isinstance(secret, str):
        raise ConfigurationError(f"the {kind} must be text (got {type(secret).__name__})")
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"the {kind} is invalid: it must be printable ASCII without spaces")
    return secret
