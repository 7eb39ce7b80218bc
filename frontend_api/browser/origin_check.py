"""Protects an API without credentials, as on the local stack, from the pages of other sites.

A browser sends any request that a page makes. Two things that such a page cannot forge reveal it:
the Host header, if the page's own name was pointed at this machine (DNS rebinding), and
Sec-Fetch-Site or Origin, which name the page's site. Programs send neither Sec-Fetch-Site nor
Origin and are accepted.
"""

import re
from collections.abc import Container, Iterable, Sequence

from flask import Flask, Request, request

from frontend_api.http.problems import Complaint, Problem, RequestRefusedError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_CHANGES_NOTHING = frozenset(("GET", "HEAD", "OPTIONS"))


def reject_foreign_requests(
    app: Flask, trusted_hosts: Sequence[str], *, origins: Container[str] = ()
) -> None:
    """Accept only these host names, on any port, and reject changes from pages of other origins.

    `origins` are those that a page may have besides the request's own host.
    """
    names = tuple(host.lower() for host in trusted_hosts)

    @app.before_request
    def check_host_and_origin() -> None:
        if _host_name(request) not in names:
            raise RequestRefusedError(_untrusted_host(names))
        is_listed = request.headers.get("Origin") in origins
        if not is_listed and _needs_the_same_origin(request) and _is_cross_origin(request):
            raise RequestRefusedError(
                Problem(
                    code="foreign_origin",
                    detail="requests from pages of other origins are rejected",
                    complaints=(Complaint("header", "Origin", "must be this API's own origin, or absent"),),
                )
            )


def _needs_the_same_origin(asked: Request) -> bool:
    """Return whether a request needs the same origin.

    These are requests that may change data, and WebSockets, which browsers let every page read.
    """
    return asked.method not in _CHANGES_NOTHING or "websocket" in asked.headers.get("Upgrade", "").lower()


def _is_cross_origin(asked: Request) -> bool:
    site = asked.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = asked.headers.get("Origin")  # browsers too old for Sec-Fetch-Site
    return origin is not None and origin not in (f"http://{asked.host}", f"https://{asked.host}")


def _host_name(asked: Request) -> str | None:
    """Return the host name of the Host header, without a port; None if it is malformed.

    Werkzeug's TRUSTED_HOSTS cannot contain IPv6 addresses.
    """
    host = _HOST.fullmatch(asked.headers.get("Host", ""))
    return None if host is None else host[1].lower()


def _untrusted_host(names: Iterable[str]) -> Problem:
    accepted = ", ".join(names)
    return Problem(
        code="untrusted_host",
        detail=f"the API accepts the hosts {accepted}; DARKROOM_TRUSTED_HOSTS adds hosts",
        complaints=(Complaint("header", "Host", f"must be one of {accepted}"),),
    )
