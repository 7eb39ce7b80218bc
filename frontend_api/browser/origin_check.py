"""Protects an API without credentials, as on the local stack, from the pages of other sites.

A browser sends any request that a page makes. Two things that such a page cannot forge reveal it:
the Host header, if the page's own name was pointed at this machine (DNS rebinding), and
Sec-Fetch-Site or Origin, which name the page's site. Programs send neither Sec-Fetch-Site nor
Origin and are accepted.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from werkzeug.exceptions import SecurityError

from frontend_api.http.problem_responses import problem_response
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError

LOOPBACK_NAMES = ("localhost", "127.0.0.1")
_CHANGES_NOTHING = frozenset(("GET", "HEAD", "OPTIONS"))


def reject_foreign_requests(app: Flask, trusted_hosts: Sequence[str]) -> None:
    """Accept only these host names, on any port, and reject changes from pages of other origins."""
    app.config["TRUSTED_HOSTS"] = list(trusted_hosts)
    app.register_error_handler(SecurityError, _untrusted_host)

    @app.before_request
    def check_origin() -> None:
        if _needs_the_same_origin(request) and _is_cross_origin(request):
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
    return origin is not None and urlsplit(origin).netloc != asked.host


def _untrusted_host(_error: SecurityError) -> Response:
    names = ", ".join(request.trusted_hosts or ())
    return problem_response(
        Problem(
            code="untrusted_host",
            detail=f"the API accepts the hosts {names}; DARKROOM_TRUSTED_HOSTS adds hosts",
            complaints=(Complaint("header", "Host", f"must be one of {names}"),),
        )
    )
