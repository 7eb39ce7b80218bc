"""Routes of buckets: create, list, get, patch, delete."""

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

    @routes.get("")
    def list_buckets() -> Response:
        prefix = request.args.get("prefix", "")
        found = [bucket for bucket in store.buckets() if bucket.name.startswith(prefix)]
        items = [bucket_resource(bucket, request.host_url) for bucket in found]
        return jsonify(kind="storage#buckets", items=items)

    @routes.get("/<bucket>")
    def get(bucket: str) -> Response:
        return jsonify(bucket_resource(store.bucket(bucket), request.host_url))

    @routes.route("/<bucket>", methods=["PATCH", "PUT"])
    def patch(bucket: str) -> Response:
        settings = parse_settings(request.get_data())
        return jsonify(bucket_resource(store.patch_bucket(bucket, settings), request.host_url))

    @routes.delete("/<bucket>")
    def delete(bucket: str) -> Response:
        store.delete_bucket(bucket)
        return Response(status=204)

    return routes
