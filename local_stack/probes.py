"""Readiness probes: functions that say whether a process can do its work yet, and if not, why."""

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import psutil

from local_stack.loopback import open_loopback

Probe = Callable[[int], str | None]
"""Called with the process's pid. None means ready; otherwise the reason, as the end of "… is not ready: "."""


class NeverReadyError(Exception):
    """Raised by a probe when waiting longer is of no use; says why."""


def always_ready(_pid: int) -> str | None:
    """For processes that are ready as soon as they run."""
    return None


def answers_ok(
    url: str, headers: Mapping[str, str] | None = None, *, hopeless: frozenset[int] = frozenset()
) -> Probe:
    """Ready when a GET of `url` is answered with 200; never to be so when the answer is one of `hopeless`."""

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
    """Ready when the process itself, and not some stranger, listens on `port`.

    The Pub/Sub emulator stays alive and deaf when its port is taken; calls would then reach somebody else's emulator.
    """

    def probe(pid: int) -> str | None:
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            sockets = [connection for member in family for connection in member.net_connections(kind="tcp")]
        except psutil.AccessDenied:  # not every system lets a process look
            return None
        except psutil.NoSuchProcess:
            return "it has ended"
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets):
            return None
        return f"it does not listen on port {port}; does another program?"

    return probe


def all_of(*probes: Probe) -> Probe:
    """Ready when every probe says so; asks them in order and stops at the first reason."""

    def probe(pid: int) -> str | None:
        return next((reason for one in probes if (reason := one(pid)) is not None), None)

    return probe


def _excerpt(body: bytes) -> str:
    return " ".join(body.decode("utf-8", "replace").split())[:300]
