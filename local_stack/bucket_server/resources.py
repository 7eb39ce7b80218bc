"""Records in the format of the JSON API."""

from datetime import datetime
from urllib.parse import quote

from flask import Response, jsonify, request

from local_stack.bucket_server.records import BucketRecord, ObjectRecord


def bucket_resource(bucket: BucketRecord, root: str) -> dict[str, object]:
    """Serialize a bucket. `root` is the server's URL with a trailing slash."""
    return {
        "location": "US",
        "storageClass": "STANDARD",
        **bucket.settings,
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{root}storage/v1/b/{bucket.name}",
        "timeCreated": _time(bucket.created_at),
        "updated": _time(bucket.created_at),
        "metageneration": "1",
        "projectNumber": "1",
    }


def object_resource(record: ObjectRecord, root: str) -> dict[str, object]:
    """Serialize an object. `root` is the server's URL with a trailing slash."""
    path = f"storage/v1/b/{record.bucket}/o/{quote(record.name, safe='')}"
    return {
        "contentType": record.content_type,
        **record.settings,
        "kind": "storage#object",
        "id": f"{record.bucket}/{record.name}/{record.generation}",
        "selfLink": f"{root}{path}",
        "mediaLink": f"{root}download/{path}?generation={record.generation}&alt=media",
        "name": record.name,
        "bucket": record.bucket,
        "generation": str(record.generation),
        "metageneration": str(record.metageneration),
        "storageClass": "STANDARD",
        "size": str(record.size_bytes),
        "md5Hash": record.md5,
        "crc32c": record.crc32c,
        "etag": record.etag,
        "timeCreated": _time(record.created_at),
        "updated": _time(record.updated_at),
        "timeStorageClassUpdated": _time(record.created_at),
    }


def object_response(record: ObjectRecord) -> Response:
    response = jsonify(object_resource(record, request.host_url))
    response.headers["ETag"] = record.etag
    return response


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
