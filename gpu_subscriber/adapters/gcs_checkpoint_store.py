"""Checkpoints in Cloud Storage, in the task's own folder beside its images.

A stale worker may overwrite an object with an older state. That costs steps and changes no pixel:
any checkpoint of the same task and image leads to the same result.
"""

from collections.abc import Mapping

import structlog
from google.api_core import exceptions as google_errors
from google.cloud.storage import Blob, Bucket

from common.adapters.gcs_errors import translated_storage_errors
from gpu_subscriber.engine.messages import MAX_CHECKPOINT_BYTES
from gpu_subscriber.ports import Checkpoint

_log = structlog.get_logger(__name__)
_CONTENT_TYPE = "application/octet-stream"


class GcsCheckpointStore:
    """The CheckpointStore of production and of the local stack. Thread-safe."""

    def __init__(
        self, bucket: Bucket, *, timeout_seconds: float = 5.0, max_bytes: int = MAX_CHECKPOINT_BYTES
    ) -> None:
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._timeout = timeout_seconds

    def save(self, folder: str, checkpoint: Checkpoint) -> None:
        blob = self._bucket.blob(f"{_prefix(folder)}{checkpoint.index}.safetensors")
        blob.metadata = {"index": str(checkpoint.index), "step": str(checkpoint.step)}
        with translated_storage_errors():
            blob.upload_from_string(
                checkpoint.state, content_type=_CONTENT_TYPE, timeout=self._timeout, retry=None
            )

    def load(self, folder: str) -> Mapping[int, Checkpoint]:
        with translated_storage_errors():
            found = [self._loaded(blob) for blob in self._blobs_of(folder)]
        return {checkpoint.index: checkpoint for checkpoint in found if checkpoint is not None}

    def discard(self, folder: str) -> None:
        with translated_storage_errors():
            for blob in self._blobs_of(folder):
                try:
                    blob.delete(timeout=self._timeout, retry=None)
                except google_errors.NotFound:
                    continue

    def _blobs_of(self, folder: str) -> list[Blob]:
        return list(self._bucket.list_blobs(prefix=_prefix(folder), timeout=self._timeout, retry=None))

    def _loaded(self, blob: Blob) -> Checkpoint | None:
        metadata = blob.metadata or {}
        if not (metadata.get("index", "").isdecimal() and metadata.get("step", "").isdecimal()):
            return None
        if blob.size is None or blob.size > self._max_bytes:
            _log.warning("checkpoint_too_large", object_name=blob.name, size_bytes=blob.size)
            return None
        try:
            state = blob.download_as_bytes(timeout=self._timeout, retry=None)
        except google_errors.NotFound:
            return None  # deleted since the listing
        return Checkpoint(index=int(metadata["index"]), step=int(metadata["step"]), state=state)


def _prefix(folder: str) -> str:
    return f"{folder}checkpoints/"
