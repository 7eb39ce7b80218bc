"""GcsUploadSessions: Cloud Storage's resumable uploads, to objects below `uploads/`."""

from datetime import datetime

from google.api_core.exceptions import NotFound
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from common.adapters.gcs_errors import translated_storage_errors
from common.domain.inputs import UPLOADS_PREFIX
from frontend_api.adapters.gcs_downloads import Downloads
from frontend_api.inputs.stored_input import UploadNotFoundError


class GcsUploadSessions:
    """The UploadSessions of production and of the local stack. Thread-safe."""

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

    def start(self, name: str, *, size_bytes: int, content_type: str, origin: str | None) -> str:
        with translated_storage_errors():
            url: str = self._bucket.blob(name).create_resumable_upload_session(
                content_type=content_type,
                size=size_bytes,
                origin=origin,
                if_generation_match=0,
                timeout=self._timeout,
                retry=self._retry,
            )
        return url

    def read(self, name: str) -> bytes:
        with translated_storage_errors():
            try:
                return self._downloads.bytes_of(self._bucket.blob(name))
            except NotFound as exc:
                raise UploadNotFoundError(name.rpartition("/")[2]) from exc

    def delete(self, name: str) -> None:
        with translated_storage_errors():
            try:
                self._bucket.blob(name).delete(timeout=self._timeout, retry=self._retry)
            except NotFound:
                return

    def remove_older(self, moment: datetime) -> None:
        with translated_storage_errors():
            found = self._bucket.list_blobs(prefix=UPLOADS_PREFIX, timeout=self._timeout, retry=self._retry)
            abandoned = [blob.name for blob in found if blob.time_created < moment]
        for name in abandoned:
            self.delete(name)
