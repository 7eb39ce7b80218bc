"""Access from browsers: pages of this machine have full access, pages of other sites none.

The real service checks credentials; this server does not, so any site that a developer visits could
read, replace and delete images. Programs send no Origin header and are admitted.
"""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from local_stack.bucket_server.records import StorageError
from local_stack.loopback import LOOPBACK, LOOPBACK_HOSTS

_LOCAL_HOSTS = ("localhost", LOOPBACK)


def restrict_to_local_pages(app: Flask) -> None:
    """Accept requests for local host names only, and send CORS headers to local pages."""
    # Protects against DNS rebinding, which would make a foreign page appear as a local one.
    app.config["TRUSTED_HOSTS"] = list(_LOCAL_HOSTS)
    app.before_request(_check_origin)
    app.after_request(_allow_local_pages)


def _check_origin() -> None:
    foreign = request.origin is not None and not _is_local(request.origin)
    if foreign or request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise StorageError(403, "forbidden", "Pages of other sites have no access.")


def _is_local(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in LOOPBACK_HOSTS
    except ValueError:
        return False


def _allow_local_pages(response: Response) -> Response:
    response.headers["Vary"] = "Origin"
    if request.origin is None or not _is_local(request.origin):
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
