"""Routes of buckets and objects, and the plain links that `<img>` uses."""

import base64
from email.utils import format_datetime

from flask import Blueprint, Response, jsonify, request
from werkzeug.wsgi import wrap_file

from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.records import Preconditions, StorageError
from local_stack.bucket_server.resources import bucket_resource, object_resource, object_response
from local_stack.bucket_server.uploads import parse_settings

_BUCKETS = "/storage/v1/b"
_ONE = f"{_BUCKETS}/<bucket>/o/<object_name:name>"


def storage_routes(store: ObjectStore) -> Blueprint:
    routes = Blueprint("storage", __name__)

    @routes.post(_BUCKETS)
    def create_bucket() -> Response:
        settings = parse_settings(request.get_data())
        name = str(settings.pop("name", ""))
        return jsonify(bucket_resource(store.create_bucket(name, settings), request.host_url))

    @routes.get(f"{_BUCKETS}/<bucket>")
    def get_bucket(bucket: str) -> Response:
        return jsonify(bucket_resource(store.bucket(bucket), request.host_url))

    @routes.get(f"{_BUCKETS}/<bucket>/o")
    def list_objects(bucket: str) -> Response:
        after = base64.urlsafe_b64decode(request.args.get("pageToken", "")).decode()
        size = min(request.args.get("maxResults", 1000, type=int), 1000)
        found = store.objects(bucket, prefix=request.args.get("prefix", ""), after=after)
        items = [object_resource(record, request.host_url) for record in found[:size]]
        if len(found) <= size:
            return jsonify(kind="storage#objects", items=items)
        next_token = base64.urlsafe_b64encode(found[size - 1].name.encode()).decode()
        return jsonify(kind="storage#objects", items=items, nextPageToken=next_token)

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

    @routes.patch(_ONE)
    def change(bucket: str, name: str) -> Response:
        settings = parse_settings(request.get_data())
        return object_response(store.change(bucket, name, settings, Preconditions.from_query(request.args)))

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
