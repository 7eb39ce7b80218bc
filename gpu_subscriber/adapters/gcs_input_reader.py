"""GcsInputReader: the pictures that callers uploaded, in the worker's bucket."""

from google.api_core import exceptions as google_errors
from google.cloud.storage import Bucket

from common.adapters.gcs_errors import translated_storage_errors
from gpu_subscriber.errors import UnreadableImageError


class GcsInputReader:
    """The InputReader of production and of the local stack. Thread-safe."""

    def __init__(self, bucket: Bucket, *, timeout_seconds: float = 20.0) -> None:
        self._bucket = bucket
        self._timeout = timeout_seconds

    def read(self, object_name: str, *, max_bytes: int) -> bytes | None:
        with translated_storage_errors():
            blob = self._bucket.get_blob(object_name, timeout=self._timeout, retry=None)
            if blob is None:
                return None
            if blob.size is None or blob.size > max_bytes:
                raise UnreadableImageError(f"the file is larger than {max_bytes:,} bytes")
            try:
                content: bytes = blob.download_as_bytes(timeout=self._timeout, retry=None)
            except google_errors.NotFound:
                return None  # deleted since
        return content
