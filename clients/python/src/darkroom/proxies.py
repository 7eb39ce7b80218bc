"""Proxies from the environment (`HTTP_PROXY`, `ALL_PROXY` …), as httpx uses them, with two exceptions.

Calls to loopback addresses use no proxy, since a proxy cannot reach them. A proxy that httpx cannot
use raises ConfigurationError, but only if calls to the API would use it.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from darkroom.credentials import is_loopback
from darkroom.errors import ConfigurationError

_Http = TypeVar("_Http", httpx.Client, httpx.AsyncClient)
_LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "[::1]")


def http_client(kind: Callable[..., _Http], url: str, *, transport: Any = None) -> _Http:
    """Return an httpx client of the given kind for the API at `url`. Raises ConfigurationError."""
    host = httpx.URL(url).host
    hosts = (*_LOOPBACK, host) if is_loopback(host) and ":" not in host else _LOOPBACK
    try:
        return kind(transport=transport, mounts=dict.fromkeys(f"all://{each}" for each in hosts))
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if _is_direct(host):
            return kind(transport=transport, trust_env=False)
        reason = (
            'a SOCKS proxy requires the package socksio: pip install "httpx[socks]"'
            if isinstance(error, ImportError)
            else str(error)
        )
        raise ConfigurationError(f"the proxy from the environment cannot be used: {reason}") from error


def proxy_for(url: str) -> str | None:
    """Return the proxy for calls to `url`, without its credentials; None for direct calls."""
    address = httpx.URL(url)
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or _is_direct(address.host):
        return None
    try:
        return str(httpx.URL(proxy if "://" in proxy else f"http://{proxy}").copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return None


def _is_direct(host: str) -> bool:
    return is_loopback(host) or bool(proxy_bypass(host))
