"""What browsers may do here: the pages of this machine everything, those of other sites nothing.

The real service asks for credentials; this one asks nobody, so any site that a developer visits could read, replace
and delete images. Programs send no Origin and are let through.
"""

from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.sansio.utils import host_is_trusted

from local_stack.bucket_server.records import StorageError
from local_stack.free_ports import LOOPBACK

_THIS_MACHINE = ("localhost", LOOPBACK)


def guard_against_foreign_pages(app: Flask) -> None:
    """Answer to this machine's own names only, and let its own pages in: locally page and bucket share no origin."""
    # Against DNS rebinding: a foreign name that points here would make a foreign page one of ours.
    app.config["TRUSTED_HOSTS"] = list(_THIS_MACHINE)
    app.before_request(_check_origin)
    app.after_request(_allow_own_pages)


def _check_origin() -> None:
    foreign = request.origin is not None and not _is_own(request.origin)
    if foreign or request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise StorageError(403, "forbidden", "Pages of other sites may do nothing here.")


def _is_own(origin: str) -> bool:
    return host_is_trusted(urlsplit(origin).netloc, _THIS_MACHINE)


def _allow_own_pages(response: Response) -> Response:
    response.headers["Vary"] = "Origin"
    if request.origin is None or not _is_own(request.origin):
        return response
    response.headers["Access-Control-Allow-Origin"] = request.origin
    response.headers["Access-Control-Expose-Headers"] = "*"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = request.headers.get(
            "Access-Control-Request-Headers", "*"
        )
        response.headers["Access-Control-Max-Age"] = "3600"
    return response
