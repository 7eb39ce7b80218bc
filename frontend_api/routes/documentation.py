"""/openapi.json, the page that shows it (/docs, works offline) and where problem types lead."""

import json
from pathlib import Path

from flask import Blueprint, Response, current_app, send_from_directory

from frontend_api.openapi import openapi_document
from frontend_api.problems import PROBLEMS
from frontend_api.security_headers import page_policy

blueprint = Blueprint("documentation", __name__)
_FOLDER = Path(__file__).parent.parent / "docs_page"


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document, for anybody."""
    document = openapi_document(current_app)
    return Response(
        json.dumps(document), content_type="application/json", headers={"Cache-Control": "no-cache"}
    )


@blueprint.get("/docs")
def page() -> Response:
    """The documentation page."""
    return _file("index.html")


@blueprint.get("/docs/<name>")
def part(name: str) -> Response:
    """The page's script and style."""
    return _file(name)


@blueprint.get("/problems/<slug>")
def problem(slug: str) -> Response:
    """Where a problem's `type` leads: to its row in the documentation."""
    known = slug.replace("-", "_") in PROBLEMS
    anchor = f"problem-{slug}" if known else "problems"
    return Response(status=302, headers={"Location": f"/docs#{anchor}"})


def _file(name: str) -> Response:
    answer = send_from_directory(_FOLDER, name)
    answer.headers["Content-Security-Policy"] = page_policy()
    answer.headers["Cache-Control"] = "no-cache"
    return answer
