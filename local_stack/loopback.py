"""The loopback interface: free ports, and HTTP without proxies, which cannot reach it."""

import http.client
import json
import random
import socket
import urllib.request
import weakref
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

from local_stack.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral port range (32768 and up): no client socket on this machine can take the
# port between choosing it and listening on it.
_FIRST_PORT, _LAST_PORT = 20000, 32000
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
# Without the default handlers, which use proxies, follow redirects and raise for error statuses.
_opener = urllib.request.OpenerDirector()
_opener.add_handler(urllib.request.HTTPHandler())


class PortReservations:
    """Free ports that no other stack on this machine chooses, until `release` or the process ends.

    A server starts seconds after its port was chosen. Until then a UDP socket with the port's
    number, which leaves the TCP port free, shows other stacks that it is taken.
    """

    def __init__(self) -> None:
        self._sockets = ExitStack()
        self.release = weakref.finalize(self, self._sockets.close)

    def reserve(self, *, preferred: int | None = None) -> int:
        """Return a free port, now reserved: the preferred one if it is free.

        Raises PortTakenError when none is found.
        """
        generator = random.SystemRandom()
        candidates = [generator.randint(_FIRST_PORT, _LAST_PORT) for _ in range(200)]
        if preferred is not None and _FIRST_PORT <= preferred <= _LAST_PORT:
            candidates.insert(0, preferred)
        for port in candidates:
            reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                reservation.bind((LOOPBACK, port))
            except OSError:
                reservation.close()
                continue
            self._sockets.enter_context(reservation)
            if is_free(port):
                return port
        raise PortTakenError(f"No free port was found between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}.")


def unguessable_address() -> str:
    """Return a random address of this machine's loopback network, 127.0.0.0/8.

    The Firestore emulator answers every page, whatever its origin. A page can try all ports of
    127.0.0.1, but not of 16 million addresses.
    """
    generator = random.SystemRandom()
    return f"127.{generator.randint(1, 254)}.{generator.randint(0, 255)}.{generator.randint(1, 254)}"


def free_port() -> int:
    """Return a port that was free and not reserved when checked. Raises PortTakenError."""
    reservations = PortReservations()
    try:
        return reservations.reserve()
    finally:
        reservations.release()


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on the port now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True


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
    """Send a request and return the response of any status.

    Raises OSError without one, also when the server ends in the middle of its response.
    """
    data, content_type = None, {}
    if content is not None:
        data, content_type = json.dumps(content).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 - loopback addresses
        url, data=data, headers={**content_type, **(headers or {})}, method=method
    )
    try:
        with _opener.open(request, timeout=timeout_seconds) as response:
            return Response(status=response.status, body=response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"{url} sent no complete response: {error!r}") from error


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
    return "*" if "*" in given else ",".join(dict.fromkeys((*given, *LOOPBACK_HOSTS)))
