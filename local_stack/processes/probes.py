"""Readiness probes: functions that return why a process is not ready, or None."""

from collections.abc import Callable, Mapping

import psutil

from local_stack.loopback import send

Probe = Callable[[int], str | None]
"""Called with the process's pid. Returns None when it is ready, else the reason."""


class NeverReadyError(Exception):
    """The process will never become ready; the message is the reason."""


def always_ready(_pid: int) -> str | None:
    """A probe for processes that are ready as soon as they run."""
    return None


def responds_ok(
    url: str, headers: Mapping[str, str] | None = None, *, permanent_errors: frozenset[int] = frozenset()
) -> Probe:
    """Ready when a GET returns 200. `permanent_errors` raise NeverReadyError."""

    def probe(_pid: int) -> str | None:
        try:
            response = send(url, headers=headers, timeout_seconds=2)
        except OSError as error:
            return f"{url} does not respond ({getattr(error, 'reason', error)})"
        if response.status == 200:
            return None
        reason = f"{url} returned {response.status} {' '.join(response.text.split())[:300]}"
        if response.status in permanent_errors:
            raise NeverReadyError(reason)
        return reason

    return probe


def listens_on(port: int) -> Probe:
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
            return "it has exited"
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets):
            return None
        return f"it does not listen on port {port}; another program may use the port"

    return probe


def all_of(*probes: Probe) -> Probe:
    """Ready when all probes are. Runs them in order and returns the first reason."""

    def probe(pid: int) -> str | None:
        return next((reason for one in probes if (reason := one(pid)) is not None), None)

    return probe
