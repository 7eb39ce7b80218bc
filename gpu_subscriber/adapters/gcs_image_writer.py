"""GcsImageWriter: images as objects that are written once and never changed."""

import base64
from collections.abc import Collection, Mapping

import google_crc32c
from google.api_core import exceptions as google_errors
from google.cloud.storage import Blob, Bucket

from gpu_subscriber.adapters.gcs_errors import translated_storage_errors
from gpu_subscriber.errors import ObjectConflictError

_CACHE_CONTROL = "private, max-age=31536000, immutable"


class GcsImageWriter:
    """The ImageWriter of production and of the local stack. Safe to share between threads."""

    def __init__(self, bucket: Bucket, *, timeout_seconds: float = 20.0) -> None:
        self._bucket = bucket
        self._timeout = timeout_seconds

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        """See ImageWriter.write."""
        blob = self._bucket.blob(object_name)
        blob.cache_control = _CACHE_CONTROL
        blob.metadata = dict(metadata)
        with translated_storage_errors():
            try:
                # retry=None: the library would go on for two minutes; the caller knows how long it has.
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
        """See ImageWriter.remove_attempts. One listing: attempts may have been handed back any number of times."""
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
            return False  # somebody else was faster
        return True

    def _holds(self, object_name: str, data: bytes) -> bool:
        """Whether the object is these very bytes: then an earlier try arrived, and its answer was lost."""
        stored = self._bucket.blob(object_name)
        stored.reload(timeout=self._timeout, retry=None)
        return stored.size == len(data) and stored.crc32c == _crc32c(data)


def _crc32c(data: bytes) -> str:
    """As Cloud Storage writes it: big-endian, base64."""
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
