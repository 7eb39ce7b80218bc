"""Keeps the pages of other sites from driving an API that asks nobody for credentials, as on the local stack.

A browser sends whatever any page tells it to. Such a page is known by one of two things it cannot forge: the Host
header, when its own name was made to point here (DNS rebinding), or Sec-Fetch-Site and Origin, when it says where
the request came from. Programs send neither of the latter and are let through.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from werkzeug.exceptions import SecurityError

from frontend_api.problem_answers import problem_answer
from frontend_api.problems import Complaint, Problem, RequestRefusedError

LOOPBACK_NAMES = ("localhost", "127.0.0.1")
_CHANGES_NOTHING = frozenset(("GET", "HEAD", "OPTIONS"))


def refuse_foreign_requests(app: Flask, trusted_hosts: Sequence[str]) -> None:
    """Answer to these names only, on any port, and let no page of another origin change anything."""
    app.config["TRUSTED_HOSTS"] = list(trusted_hosts)
    app.register_error_handler(SecurityError, _untrusted_host)

    @app.before_request
    def check_origin() -> None:
        if _needs_the_same_origin(request) and _is_of_another_origin(request):
            raise RequestRefusedError(
                Problem(
                    code="foreign_origin",
                    detail="a page of another origin may read nothing here and change nothing",
                    complaints=(Complaint("header", "Origin", "must be this API's own, or absent"),),
                )
            )


def _needs_the_same_origin(asked: Request) -> bool:
    """Whatever may change something; and sockets, of which browsers let any page read what they bring."""
    return asked.method not in _CHANGES_NOTHING or "websocket" in asked.headers.get("Upgrade", "").lower()


def _is_of_another_origin(asked: Request) -> bool:
    site = asked.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = asked.headers.get("Origin")  # of a browser too old for the other one
    return origin is not None and urlsplit(origin).netloc != asked.host


def _untrusted_host(_error: SecurityError) -> Response:
    names = ", ".join(request.trusted_hosts or ())
    return problem_answer(
        Problem(
            code="untrusted_host",
            detail=f"this API answers to {names}; DARKROOM_TRUSTED_HOSTS adds names",
            complaints=(Complaint("header", "Host", f"must be one of {names}"),),
        )
    )
