"""Loopback connections without proxies: the stack's processes connect to each other directly.

A proxy from the environment (`http_proxy`, `ALL_PROXY` …) cannot reach this machine's loopback
addresses.
"""

import urllib.request
from collections.abc import Mapping
from typing import Any

_HOSTS = ("127.0.0.1", "localhost", "::1")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_loopback(request: urllib.request.Request, *, timeout_seconds: float) -> Any:
    """Call `urllib.request.urlopen`, but never through a proxy."""
    return _opener.open(request, timeout=timeout_seconds)


def no_proxy_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the `no_proxy` variables for a child process: those of `environment` and the loopback
    hosts.

    Libraries prefer different spellings of the variable, so both get the hosts of both. gRPC
    ignores `no_proxy` when `no_grpc_proxy` is set.
    """
    extended = _extended(environment.get("no_proxy", ""), environment.get("NO_PROXY", ""))
    own = environment.get("no_grpc_proxy", "")
    grpc = {"no_grpc_proxy": _extended(own)} if own else {}
    return {"no_proxy": extended, "NO_PROXY": extended, **grpc}


def _extended(*lists: str) -> str:
    given = [host.strip() for one in lists for host in one.split(",") if host.strip()]
    return "*" if "*" in given else ",".join(dict.fromkeys((*given, *_HOSTS)))
