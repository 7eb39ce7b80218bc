"""Multipart and resumable uploads."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message

from local_stack.bucket_server.object_store import ObjectStore
from local_stack.bucket_server.pending_content import PendingContent
from local_stack.bucket_server.records import ObjectRecord, Preconditions, StorageError

_LIFETIME_SECONDS = 7 * 24 * 3_600
"""The real service keeps unfinished uploads as long."""
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartUpload:
    settings: Mapping[str, object]
    media: bytes


def parse_multipart(content_type: str, body: bytes) -> MultipartUpload:
    """Parse a multipart/related body. Raises StorageError 400."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    parts = body.split(b"--" + str(boundary).encode()) if boundary else []
    if len(parts) != 4:  # preamble, settings, media, final boundary
        raise StorageError(400, "badRequest", "The body is not multipart/related with two parts.")
    (_, settings), (media_headers, media) = (_headers_and_body(part) for part in parts[1:3])
    return MultipartUpload(
        settings={"contentType": media_headers.get("content-type"), **parse_settings(settings)}, media=media
    )


def parse_settings(body: bytes) -> dict[str, object]:
    """Parse an object resource from a client; an empty one is allowed. Raises StorageError 400."""
    try:
        settings = json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise StorageError(400, "parseError", "The body is not JSON.") from error
    if not isinstance(settings, dict):
        raise StorageError(400, "parseError", "The body is not a JSON object.")
    return settings


@dataclass(slots=True, kw_only=True)
class ResumableUpload:
    """One upload in several requests. `lock` serializes them."""

    bucket: str
    name: str
    settings: Mapping[str, object]
    conditions: Preconditions
    announced_size: int | None
    content: PendingContent
    lock: threading.Lock
    began_at: float
    finished: ObjectRecord | None = None


class ResumableUploads:
    """The uploads of the last days, in memory: after a restart, clients start over."""

    def __init__(self, store: ObjectStore, *, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._uploads: dict[str, ResumableUpload] = {}
        """In the order of their begin."""

    def begin(
        self,
        bucket: str,
        name: str,
        settings: Mapping[str, object],
        conditions: Preconditions,
        *,
        announced_size: int | None = None,
    ) -> str:
        """Start an upload and return its id. Raises StorageError 404."""
        self._discard_old()
        upload_id = uuid.uuid4().hex
        upload = ResumableUpload(
            bucket=bucket,
            name=name,
            settings=settings,
            conditions=conditions,
            announced_size=announced_size,
            content=self._store.begin(bucket),
            lock=threading.Lock(),
            began_at=self._now(),
        )
        with self._lock:
            self._uploads[upload_id] = upload
        return upload_id

    def receive(
        self, upload_id: str, content_range: str | None, body: bytes, announced: Mapping[str, str]
    ) -> tuple[ObjectRecord | None, int]:
        """Accept a chunk or a status query. Return the object, if complete, and the size.

        A chunk after a gap is ignored; the number of received bytes shows the client where to
        continue. Raises StorageError 400, 404, 412.
        """
        upload = self._upload(upload_id)
        first, total = _parse_range(content_range, len(body))
        with upload.lock:
            if upload.finished is not None:
                return upload.finished, upload.finished.size_bytes
            received = upload.content.size_bytes
            _check_size(upload.announced_size, received if first is None else first + len(body), total)
            if first is not None and first <= received:
                upload.content.write(body[received - first :])
                received = upload.content.size_bytes
            if total is None or received < total:
                return None, received
            settings = {**upload.settings, **announced}
            try:
                upload.finished = self._store.commit(
                    upload.bucket, upload.name, upload.content, settings, upload.conditions
                )
            except StorageError:
                with self._lock:
                    self._uploads.pop(upload_id, None)
                raise
            return upload.finished, received

    def _upload(self, upload_id: str) -> ResumableUpload:
        with self._lock:
            upload = self._uploads.get(upload_id)
        if upload is None:
            raise StorageError(404, "notFound", "The upload does not exist.")
        return upload

    def _discard_old(self) -> None:
        before = self._now() - _LIFETIME_SECONDS
        with self._lock:
            old = [name for name, upload in self._uploads.items() if upload.began_at < before]
            discarded = [self._uploads.pop(name) for name in old]
        for upload in discarded:
            with upload.lock:
                if upload.finished is None:
                    upload.content.discard()


def _check_size(announced: int | None, end: int, total: int | None) -> None:
    """Raise StorageError 400 unless the upload has the size that its start announced."""
    if announced is not None and (end > announced or total not in (None, announced)):
        raise StorageError(400, "invalid", f"The upload must have {announced} bytes.")


def _parse_range(content_range: str | None, length: int) -> tuple[int | None, int | None]:
    """Return the first byte (None for a status query) and the total size, if known."""
    if content_range is None:
        return 0, length
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None:
        raise StorageError(400, "badRequest", f"Failed to parse Content-Range header: {content_range}")
    first, last, total = found.groups()
    if first is not None and int(last) - int(first) + 1 != length:
        raise StorageError(400, "badRequest", "The Content-Range header does not match the body.")
    return (None if first is None else int(first)), (None if total == "*" else int(total))


def _headers_and_body(part: bytes) -> tuple[dict[str, str], bytes]:
    head, separator, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise StorageError(400, "badRequest", "A part of the body has no headers.")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}, body.removesuffix(b"\r\n")
