"""The OpenAPI document at /openapi.json, and the targets of problem types."""

import hashlib
import json
from typing import cast

from flask import Blueprint, Response, current_app, request

from frontend_api.http.problems import PROBLEMS
from frontend_api.http.responses import own_address
from frontend_api.openapi.document import openapi_document

blueprint = Blueprint("documentation", __name__)
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
        current_app.extensions[_BUILT] = json.dumps(
            openapi_document(current_app, base_path=request.root_path)
        ).encode()
    document = cast("bytes", current_app.extensions[_BUILT])
    answer = Response(document, content_type="application/json")
    answer.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_SECONDS}"
    answer.set_etag(hashlib.sha256(document).hexdigest()[:20])
    answer.make_conditional(request)
    return answer


@blueprint.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """Redirect a problem's `type` URL to its description in the reference."""
    code = slug.replace("-", "_")
    anchor = code if code in PROBLEMS else "problems"
    return Response(status=302, headers={"Location": own_address(f"/docs#?route=overview--{anchor}")})
