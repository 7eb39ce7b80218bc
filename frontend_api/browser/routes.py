"""The built pages at /, /operator and /docs, and their configuration at /config.json."""

import json
from urllib.parse import quote

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import NotFound

from frontend_api.browser.package import WebPage
from frontend_api.browser.security_headers import page_policy, reference_policy
from frontend_api.http.requests import current

blueprint = Blueprint("web_page", __name__)
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>darkroom</title>
<p>The pages are not built: run <code>make web</code>.
The API is described by <a href="/openapi.json">openapi.json</a>.</p></html>"""


@blueprint.get("/config.json")
def config() -> Response:
    """Return the public settings that the page needs before sign-in. They contain no secret."""
    return Response(
        json.dumps(dict(current(WebPage).config)),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@blueprint.get("/")
def index() -> Response:
    """Return the page."""
    return _page("index.html", page_policy(current(WebPage)))


@blueprint.get("/operator")
def operator() -> Response:
    """Return the operator page.

    It contains no secret: it requests its data with the credentials of the signed-in user.
    """
    return _page("operator.html", page_policy(current(WebPage)))


@blueprint.get("/docs")
def docs() -> Response:
    """Return the API reference, which renders /openapi.json."""
    return _page("docs.html", reference_policy())


@blueprint.get("/t/<task_id>")
@blueprint.get("/t/<task_id>/<int:number>")
def picture(task_id: str, number: int | None = None) -> Response:
    """Redirect to the page, which opens this picture.

    The page needs its own address, because all of its addresses are relative.
    """
    above, rest = ("../", "") if number is None else ("../../", f"/{number}")
    return Response(status=302, headers={"Location": f"{above}#/t/{quote(task_id, safe='')}{rest}"})


def _page(name: str, policy: str) -> Response:
    try:
        answer = send_from_directory(current(WebPage).folder, name)
    except NotFound:
        answer = Response(_NOT_BUILT, status=404, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@blueprint.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Return a built file whose name contains its hash."""
    answer = send_from_directory(current(WebPage).folder / "assets", name)
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return answer


@blueprint.get("/<any('favicon.svg', 'favicon.ico', 'manifest.webmanifest', 'robots.txt'):name>")
def root_file(name: str) -> Response:
    """Return one of the few files that browsers request from the root."""
    answer = send_from_directory(current(WebPage).folder, name)
    answer.headers["Cache-Control"] = "public, max-age=3600"
    return answer
