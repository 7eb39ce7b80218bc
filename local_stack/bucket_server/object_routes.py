"""Routes of objects: list, get, download, delete; and the plain links that `<img>` uses."""

import base64
from email.utils import format_datetime

from flask import Blueprint, Response, jsonify, request
from werkzeug.wsgi import wrap_file

from local_stack.bucket_server.listing import page_of
from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.records import Preconditions, StorageError
from local_stack.bucket_server.resources import object_resource, object_response

_ONE = "/storage/v1/b/<bucket>/o/<object_name:name>"


def object_routes(store: ObjectStore) -> Blueprint:
    routes = Blueprint("objects", __name__)

    @routes.get("/storage/v1/b/<bucket>/o")
    def list_objects(bucket: str) -> Response:
        query = request.args
        page = page_of(
            store.all_objects(bucket),
            prefix=query.get("prefix", ""),
            token=query.get("pageToken"),
            size=min(query.get("maxResults", 1000, type=int), 1000),
        )
        items = [object_resource(record, request.host_url) for record in page.objects]
        next_token = {"nextPageToken": page.next_token} if page.next_token else {}
        return jsonify(kind="storage#objects", items=items, **next_token)

    @routes.get(_ONE)
    def get(bucket: str, name: str) -> Response:
        if request.args.get("alt") == "media":
            return download(bucket, name)
        return object_response(store.get(bucket, name, Preconditions.from_query(request.args), _generation()))

    @routes.get("/download" + _ONE)
    def download(bucket: str, name: str) -> Response:
        return _content(store, bucket, name)

    @routes.get("/<bucket>/<object_name:name>")
    def link(bucket: str, name: str) -> Response:
        return _content(store, bucket, name)

    @routes.delete(_ONE)
    def delete(bucket: str, name: str) -> Response:
        store.delete(bucket, name, Preconditions.from_query(request.args), _generation())
        return Response(status=204)

    return routes


def _content(store: ObjectStore, bucket: str, name: str) -> Response:
    """Return the bytes, the requested range, or 304 if the browser has them cached."""
    record, file = store.open(bucket, name, Preconditions.from_query(request.args), _generation())
    response = Response(wrap_file(request.environ, file), direct_passthrough=True)
    response.call_on_close(file.close)
    response.content_length = record.size_bytes
    response.headers["Content-Type"] = record.content_type
    response.headers["Cache-Control"] = str(record.settings.get("cacheControl") or "private, max-age=0")
    response.headers["Last-Modified"] = format_datetime(record.created_at, usegmt=True)
    response.headers["X-Goog-Generation"] = str(record.generation)
    response.headers["X-Goog-Metageneration"] = str(record.metageneration)
    response.headers["X-Goog-Hash"] = f"crc32c={record.crc32c},md5={record.md5}"
    response.headers["X-Goog-Stored-Content-Length"] = str(record.size_bytes)
    response.set_etag(base64.b64decode(record.md5).hex())
    try:
        return response.make_conditional(request, accept_ranges=True, complete_length=record.size_bytes)  # type: ignore[return-value]
    except Exception:
        file.close()
        raise


def _generation() -> int | None:
    value = request.args.get("generation")
    if value is not None and not value.isdecimal():
        raise StorageError(400, "invalid", f"Invalid value for generation: {value}")
    return None if value is None else int(value)
