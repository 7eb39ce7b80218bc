"""Images in Cloud Storage, as objects that are written once and never changed."""

import base64
from collections.abc import Collection, Mapping

import google_crc32c
from google.api_core import exceptions as google_errors
from google.cloud.storage import Blob, Bucket

from common.adapters.gcs_errors import translated_storage_errors
from gpu_subscriber.errors import ObjectConflictError

_CACHE_CONTROL = "private, max-age=3600, immutable"
"""As long as a signed link is valid by default: all users of a browser share its cache."""


class GcsImageWriter:
    """The ImageWriter of production and of the local stack. Thread-safe."""

    def __init__(self, bucket: Bucket, *, timeout_seconds: float = 20.0) -> None:
        self._bucket = bucket
        self._timeout = timeout_seconds

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        blob = self._bucket.blob(object_name)
        blob.cache_control = _CACHE_CONTROL
        blob.metadata = dict(metadata)
        with translated_storage_errors():
            try:
                # retry=None: the library would retry for two minutes; the caller has its own limit.
                blob.upload_from_string(
                    data,
                    content_type=content_type,
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=self._timeout,
                    retry=None,
                )
            except google_errors.PreconditionFailed as exc:
                if not self._holds(object_name, data):
                    raise ObjectConflictError(object_name) from exc

    def remove_attempts(self, folder: str, *, up_to: int, keep: Collection[str] = ()) -> int:
        """Remove with a single listing, because the number of attempts is not limited."""
        prefix = f"{folder}attempt-"
        removed = 0
        with translated_storage_errors():
            for blob in self._bucket.list_blobs(prefix=prefix, timeout=self._timeout, retry=None):
                number, _, _ = blob.name.removeprefix(prefix).partition("/")
                if number.isdecimal() and int(number) <= up_to and blob.name not in keep:
                    removed += self._delete(blob)
        return removed

    def _delete(self, blob: Blob) -> bool:
        try:
            blob.delete(timeout=self._timeout, retry=None)
        except google_errors.NotFound:
            return False  # already deleted
        return True

    def _holds(self, object_name: str, data: bytes) -> bool:
        """Return whether the object has these bytes, written by an attempt without a response."""
        stored = self._bucket.blob(object_name)
        stored.reload(timeout=self._timeout, retry=None)
        return stored.size == len(data) and stored.crc32c == _crc32c(data)


def _crc32c(data: bytes) -> str:
    """Return the CRC32C as Cloud Storage encodes it: big-endian, base64."""
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
