"""HTTP over loopback without proxies: a proxy cannot reach this machine's loopback addresses."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

_HOSTS = ("127.0.0.1", "localhost", "::1")
# Without the default handlers, which use proxies, follow redirects and raise for error statuses.
_opener = urllib.request.OpenerDirector()
_opener.add_handler(urllib.request.HTTPHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def send(
    url: str,
    *,
    timeout_seconds: float,
    method: str = "GET",
    content: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send a request, with `content` as JSON, and return the response whatever its status.

    Raises OSError when there is no response.
    """
    data, content_type = None, {}
    if content is not None:
        data, content_type = json.dumps(content).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 - loopback addresses
        url, data=data, headers={**content_type, **(headers or {})}, method=method
    )
    with _opener.open(request, timeout=timeout_seconds) as response:
        return Response(status=response.status, body=response.read())


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
