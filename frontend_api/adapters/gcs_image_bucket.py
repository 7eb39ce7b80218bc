"""GcsImageBucket: reads and deletes objects of the images bucket with google-cloud-storage."""

from google.cloud.exceptions import NotFound
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from common.adapters.gcs_errors import translated_storage_errors
from common.domain.images import StoredImage
from frontend_api.adapters.gcs_downloads import Downloads
from frontend_api.images.ports import ImageGoneError


class GcsImageBucket:
    def __init__(
        self,
        client: StorageClient,
        *,
        bucket: str,
        timeout_seconds: float = 5.0,
        download_seconds: float = 20.0,
    ) -> None:
        self._bucket = client.bucket(bucket)
        self._timeout = timeout_seconds
        self._retry = DEFAULT_RETRY.with_timeout(timeout_seconds)
        self._downloads = Downloads(
            client, seconds=download_seconds, read_seconds=timeout_seconds, retry=self._retry
        )

    def read(self, image: StoredImage) -> bytes:
        blob = self._bucket.blob(image.object_name)
        with translated_storage_errors():
            try:
                return self._downloads.bytes_of(blob)
            except NotFound as exc:
                raise ImageGoneError(image.object_name) from exc

    def remove_folder(self, folder: str) -> None:
        with translated_storage_errors():
            found = self._bucket.list_blobs(prefix=folder, timeout=self._timeout, retry=self._retry)
            for blob in found:
                try:
                    blob.delete(timeout=self._timeout, retry=self._retry)
                except NotFound:
                    continue  # another process has already deleted it
