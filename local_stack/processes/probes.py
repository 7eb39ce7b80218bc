"""Readiness probes: functions that check whether a process is ready, and if not, give the reason."""

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import psutil

from local_stack.loopback import open_loopback

Probe = Callable[[int], str | None]
"""Called with the process's pid.

None means ready; otherwise the reason, which completes "… is not ready: ".
"""


class NeverReadyError(Exception):
    """The process will never become ready; the message is the reason."""


def always_ready(_pid: int) -> str | None:
    """A probe for processes that are ready as soon as they run."""
    return None


def answers_ok(
    url: str, headers: Mapping[str, str] | None = None, *, hopeless: frozenset[int] = frozenset()
) -> Probe:
    """Ready when a GET of `url` returns 200.

    Raises NeverReadyError when it returns one of `hopeless`.
    """

    def probe(_pid: int) -> str | None:
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - loopback addresses
        try:
            with open_loopback(request, timeout_seconds=2) as response:
                return None if response.status == 200 else f"{url} answers {response.status}"
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{url} answers {error.code} {_excerpt(error.read(2000))}"
            if error.code in hopeless:
                raise NeverReadyError(reason) from error
            return reason
        except OSError as error:
            return f"{url} does not answer ({getattr(error, 'reason', error)})"

    return probe


def listens_itself(port: int) -> Probe:
    """Ready when the process itself, and not another process, listens on `port`.

    When its port is taken, the Pub/Sub emulator continues to run without a listener, and calls
    would reach another emulator.
    """

    def probe(pid: int) -> str | None:
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            sockets = [connection for member in family for connection in member.net_connections(kind="tcp")]
        except psutil.AccessDenied:  # not every system permits the query
            return None
        except psutil.NoSuchProcess:
            return "it has ended"
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets):
            return None
        return f"it does not listen on port {port}; does another program?"

    return probe


def all_of(*probes: Probe) -> Probe:
    """Ready when all probes are. Runs them in order and returns the first reason."""

    def probe(pid: int) -> str | None:
        return next((reason for one in probes if (reason := one(pid)) is not None), None)

    return probe


def _excerpt(body: bytes) -> str:
    return " ".join(body.decode("utf-8", "replace").split())[:300]
