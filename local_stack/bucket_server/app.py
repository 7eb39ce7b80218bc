"""The Flask application. BUCKET_DIRECTORY is the folder of the objects.

Run one worker process only: its threads share the store.
"""

import os
from pathlib import Path
from xml.sax.saxutils import escape

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable
from werkzeug.routing import BaseConverter

from local_stack.bucket_server.browsers import restrict_to_local_pages
from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.records import StorageError
from local_stack.bucket_server.routes import storage_routes
from local_stack.bucket_server.upload_routes import upload_routes

logger = structlog.get_logger(__name__)


class _ObjectName(BaseConverter):
    """The rest of the path, including slashes."""

    regex = ".+"
    part_isolating = False


def build_app() -> Flask:
    """Create the application that gunicorn serves."""
    return create_app(ObjectStore(Path(os.environ["BUCKET_DIRECTORY"])))


def create_app(store: ObjectStore) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["object_name"] = _ObjectName
    app.url_map.merge_slashes = False  # "a//b" is a valid name
    app.register_blueprint(storage_routes(store))
    app.register_blueprint(upload_routes(store))
    app.add_url_rule("/", "health", lambda: jsonify(status="ok"))
    restrict_to_local_pages(app)
    app.register_error_handler(StorageError, _error_response)
    app.register_error_handler(OSError, _disk_error_response)
    app.register_error_handler(HTTPException, _http_error_response)
    return app


def _error_response(error: StorageError) -> Response:
    if request.endpoint == "storage.link":  # the XML API
        body = f"<Error><Code>{escape(error.reason)}</Code><Message>{escape(error.message)}</Message></Error>"
        return Response(
            f"<?xml version='1.0' encoding='UTF-8'?>{body}", error.status, mimetype="application/xml"
        )
    detail = {"message": error.message, "domain": "global", "reason": error.reason}
    response = jsonify(error={"code": error.status, "message": error.message, "errors": [detail]})
    response.status_code = error.status
    return response


def _disk_error_response(error: OSError) -> Response:
    logger.error("disk_failed", exc_info=error)
    return _error_response(StorageError(503, "backendError", f"Disk error: {error.strerror}"))


def _http_error_response(error: HTTPException) -> Response:
    response = _error_response(StorageError(error.code or 500, "invalid", error.description or error.name))
    if isinstance(error, RequestedRangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.length}"
    return response
