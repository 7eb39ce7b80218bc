"""/openapi.json, the page that renders it (/docs, without external resources), and the targets of
problem types.
"""

import hashlib
import json
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, request, send_from_directory

from frontend_api.browser.security_headers import page_policy
from frontend_api.http.problems import PROBLEMS
from frontend_api.openapi.document import openapi_document

blueprint = Blueprint("documentation", __name__)
_FOLDER = Path(__file__).parent.parent / "docs_page"
_BUILT = "darkroom-openapi"
_MAX_AGE_SECONDS = 300
"""A new release may change the document."""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document, without authentication.

    It is built once, because building takes tens of milliseconds.
    """
    # Two concurrent first requests may both build it; the results are equal.
    if _BUILT not in current_app.extensions:
        current_app.extensions[_BUILT] = json.dumps(openapi_document(current_app)).encode()
    document = cast("bytes", current_app.extensions[_BUILT])
    answer = Response(document, content_type="application/json")
    answer.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_SECONDS}"
    answer.set_etag(hashlib.sha256(document).hexdigest()[:20])
    answer.make_conditional(request)
    return answer


@blueprint.get("/docs")
def page() -> Response:
    """Return the documentation page."""
    return _file("index.html")


@blueprint.get("/docs/<name>")
def part(name: str) -> Response:
    """Return the page's script or style sheet."""
    return _file(name)


@blueprint.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """Redirect a problem's `type` URL to its row in the documentation."""
    known = slug.replace("-", "_") in PROBLEMS
    anchor = f"problem-{slug}" if known else "problems"
    return Response(status=302, headers={"Location": f"/docs#{anchor}"})


def _file(name: str) -> Response:
    answer = send_from_directory(_FOLDER, name)
    answer.headers["Content-Security-Policy"] = page_policy()
    answer.headers["Cache-Control"] = "no-cache"
    return answer
