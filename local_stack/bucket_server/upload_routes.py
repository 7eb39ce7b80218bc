"""Routes of uploads. The query's `uploadType` selects the kind."""

from collections.abc import Mapping
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.records import Preconditions, StorageError
from local_stack.bucket_server.resources import object_response
from local_stack.bucket_server.uploads import ResumableUploads, parse_multipart, parse_settings


def upload_routes(store: ObjectStore) -> Blueprint:
    routes = Blueprint("uploads", __name__, url_prefix="/upload/storage/v1/b/<bucket>/o")
    resumable = ResumableUploads(store)

    @routes.post("")
    def upload(bucket: str) -> Response:
        kind = request.args.get("uploadType")
        if kind == "resumable":
            return begin_resumable(bucket)
        if kind == "multipart":
            return store_multipart(bucket)
        raise StorageError(400, "badRequest", f"Unsupported uploadType: {kind}")

    def store_multipart(bucket: str) -> Response:
        parsed = parse_multipart(request.headers.get("Content-Type", ""), request.get_data())
        name, conditions = _name(parsed.settings), Preconditions.from_query(request.args)
        settings = {**parsed.settings, **_announced_checksums()}
        content = store.begin(bucket)
        try:
            content.write(parsed.media)
            record = store.commit(bucket, name, content, settings, conditions)
        except BaseException:
            content.discard()
            raise
        return object_response(record)

    def begin_resumable(bucket: str) -> Response:
        sent = parse_settings(request.get_data())
        settings = {"contentType": request.headers.get("X-Upload-Content-Type"), **sent}
        name = _name(settings)
        upload_id = resumable.begin(
            bucket,
            name,
            settings,
            Preconditions.from_query(request.args),
            announced_size=request.headers.get("X-Upload-Content-Length", type=int),
        )
        query = urlencode({"uploadType": "resumable", "name": name, "upload_id": upload_id})
        response = Response(status=200)
        response.headers["Location"] = f"{request.base_url}?{query}"
        response.headers["X-GUploader-UploadID"] = upload_id
        return response

    @routes.put("")
    def continue_resumable(bucket: str) -> Response:
        upload_id = request.args.get("upload_id", "")
        content_range = request.headers.get("Content-Range")
        record, received = resumable.receive(
            upload_id, content_range, request.get_data(), _announced_checksums()
        )
        if record is not None:
            return object_response(record)
        response = Response(status=308)
        if received:
            response.headers["Range"] = f"bytes=0-{received - 1}"
        return response

    return routes


def _name(settings: Mapping[str, object]) -> str:
    name = request.args.get("name") or settings.get("name")
    if not name:
        raise StorageError(400, "required", "Required parameter: name")
    return str(name)


def _announced_checksums() -> dict[str, str]:
    """Return the checksums in the X-Goog-Hash header, such as `crc32c=…,md5=…`."""
    fields = (one.strip().partition("=") for one in request.headers.get("X-Goog-Hash", "").split(",") if one)
    known = {"crc32c": "crc32c", "md5": "md5Hash"}
    return {known[key]: value for key, _, value in fields if key in known}
