"""Routes of buckets."""

from flask import Blueprint, Response, jsonify, request

from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.resources import bucket_resource
from local_stack.bucket_server.uploads import parse_settings


def bucket_routes(store: ObjectStore) -> Blueprint:
    routes = Blueprint("buckets", __name__, url_prefix="/storage/v1/b")

    @routes.post("")
    def create() -> Response:
        settings = parse_settings(request.get_data())
        name = str(settings.pop("name", ""))
        return jsonify(bucket_resource(store.create_bucket(name, settings), request.host_url))

    @routes.get("/<bucket>")
    def get(bucket: str) -> Response:
        return jsonify(bucket_resource(store.bucket(bucket), request.host_url))

    return routes
