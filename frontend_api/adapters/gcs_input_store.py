"""GcsInputStore: inputs as objects, whose metadata has their size in pixels.

An object's custom time is the input's `expires_at`: the bucket's lifecycle deletes inputs by it. It
can only be moved forward. The metageneration changes with each change of the metadata.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from common.adapters.gcs_errors import translated_storage_errors
from common.domain.inputs import INPUTS_PREFIX
from frontend_api.adapters.gcs_downloads import Downloads
from frontend_api.inputs.ports import InputExistsError
from frontend_api.inputs.stored_input import InputNotFoundError, StoredInput

_MAX_CONFLICTS = 20
_MAX_EXPIRED = 10_000
_MAX_LISTED = 200_000
"""One caller can have 10,000 inputs, and the listing is in the order of the callers."""
_SIZES = "items(name,size),nextPageToken"
"""Each upload lists up to 10,000 objects of its owner: of these fields, with a third of the processor time."""
_STEP = timedelta(milliseconds=1)
"""The resolution of custom times."""


class GcsInputStore:
    """The InputStore of production and of the local stack. Thread-safe."""

    def __init__(
        self,
        client: StorageClient,
        *,
        bucket: str,
        timeout_seconds: float = 5.0,
        upload_timeout_seconds: float = 20.0,
        download_seconds: float = 20.0,
    ) -> None:
        self._bucket = client.bucket(bucket)
        self._timeout = timeout_seconds
        self._upload_timeout = upload_timeout_seconds
        self._retry = DEFAULT_RETRY.with_timeout(timeout_seconds)
        self._downloads = Downloads(
            client, seconds=download_seconds, read_seconds=timeout_seconds, retry=self._retry
        )

    def create(self, stored: StoredInput, content: bytes) -> StoredInput:
        blob = self._bucket.blob(stored.object_name)
        blob.custom_time = stored.expires_at
        blob.metadata = _metadata(stored, is_kept=False)
        with translated_storage_errors():
            try:
                blob.upload_from_file(
                    io.BytesIO(content),
                    size=len(content),
                    content_type=stored.content_type,
                    if_generation_match=0,
                    timeout=self._upload_timeout,
                    retry=self._retry,
                )
            except PreconditionFailed as exc:
                raise InputExistsError from exc
        return _stored_in(blob)

    def get(self, object_name: str) -> StoredInput:
        with translated_storage_errors():
            blob = self._bucket.get_blob(object_name, timeout=self._timeout, retry=self._retry)
        if blob is None:
            raise InputNotFoundError(_id_in(object_name))
        return _stored_in(blob)

    def read(self, stored: StoredInput) -> bytes:
        blob = self._bucket.blob(stored.object_name)
        with translated_storage_errors(), _missing(stored):
            return self._downloads.bytes_of(blob)

    def keep(self, stored: StoredInput, *, until: datetime, for_tasks: bool) -> StoredInput:
        for _ in range(_MAX_CONFLICTS):
            later = max(until, stored.expires_at + _STEP)
            changed = self._changed(stored, is_kept=stored.is_kept or for_tasks, expires_at=later)
            if changed is not None:
                return changed
            stored = self.get(stored.object_name)
            if stored.expires_at >= until and stored.is_kept >= for_tasks:
                return stored
        return stored

    def withdraw(self, stored: StoredInput) -> StoredInput:
        while stored.is_kept:
            changed = self._changed(stored, is_kept=False, expires_at=stored.expires_at)
            stored = changed or self.get(stored.object_name)
        return stored

    def delete_unchanged(self, stored: StoredInput) -> bool:
        with translated_storage_errors():
            try:
                self._bucket.blob(stored.object_name).delete(
                    **_unchanged(stored), timeout=self._timeout, retry=self._retry
                )
            except PreconditionFailed:
                return False
            except NotFound:
                return True  # deleted by another process, or by an attempt whose response was lost
        return True

    def bytes_in(self, folder: str, *, each_at_least: int) -> int:
        with translated_storage_errors():
            found = self._listed(folder, fields=_SIZES)
            return sum(max(blob.size or 0, each_at_least) for blob in found)

    def list_expired(self, *, now: datetime) -> tuple[StoredInput, ...]:
        with translated_storage_errors():
            found = (_stored_in(blob) for blob in islice(self._listed(INPUTS_PREFIX), _MAX_LISTED))
            return tuple(islice((stored for stored in found if stored.expires_at <= now), _MAX_EXPIRED))

    def _listed(self, prefix: str, *, fields: str | None = None) -> Iterator[Blob]:
        found = self._bucket.list_blobs(
            prefix=prefix, fields=fields, timeout=self._timeout, retry=self._retry
        )
        return iter(found)

    def _changed(self, stored: StoredInput, *, is_kept: bool, expires_at: datetime) -> StoredInput | None:
        """Change an input; return None if it has changed since. Raises InputNotFoundError."""
        blob = self._bucket.blob(stored.object_name)
        blob.metadata = _metadata(stored, is_kept=is_kept)
        blob.custom_time = expires_at
        with translated_storage_errors(), _missing(stored):
            try:
                blob.patch(**_unchanged(stored), timeout=self._timeout, retry=self._retry)
            except PreconditionFailed:
                return None
        return _stored_in(blob)


@contextmanager
def _missing(stored: StoredInput) -> Iterator[None]:
    try:
        yield
    except NotFound as exc:
        raise InputNotFoundError(stored.id) from exc


def _metadata(stored: StoredInput, *, is_kept: bool) -> dict[str, str]:
    return {
        "width": str(stored.width),
        "height": str(stored.height),
        "kept": "yes" if is_kept else "no",
    }


def _stored_in(blob: Blob) -> StoredInput:
    metadata = blob.metadata or {}
    return StoredInput(
        id=_id_in(blob.name),
        object_name=blob.name,
        content_type=blob.content_type,
        size_bytes=blob.size,
        width=int(metadata["width"]),
        height=int(metadata["height"]),
        created_at=blob.time_created,
        expires_at=blob.custom_time,
        is_kept=metadata["kept"] == "yes",
        revision=f"{blob.generation}/{blob.metageneration}",
    )


def _unchanged(stored: StoredInput) -> dict[str, int]:
    """Return the condition that the object is the same one, with the same metadata."""
    generation, _, metageneration = stored.revision.partition("/")
    return {"if_generation_match": int(generation), "if_metageneration_match": int(metageneration)}


def _id_in(object_name: str) -> str:
    return object_name.rpartition("/")[2]
