"""Image objects in the bucket, as the task records them, and their object names."""

from dataclasses import dataclass
from datetime import UTC, datetime

from common.domain.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image in the bucket. `sha256` is the hex digest of the object's bytes."""

    index: int
    object_name: str
    width: int
    height: int
    seed: int
    content_type: str
    size_bytes: int
    sha256: str
    provenance: Provenance | None = None
    """How the image was generated; None for images stored before this was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedImage:
    """An image that could not be generated. `message` is for the owner: no secrets, no stack trace."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A preview of image `index` after `step` steps, as a small JPEG."""

    index: int
    step: int
    jpeg: bytes


def task_folder(task_id: str, created_at: datetime) -> str:
    """Return the prefix of all objects of a task.

    The prefix contains the creation time, so that a task submitted again under the id of a deleted
    task has another folder. A worker that still processes or cleans up the deleted task does not
    touch the new one's objects.
    """
    return f"tasks/{task_id}/{created_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}/"


def image_object_name(folder: str, *, attempt: int, index: int, extension: str) -> str:
    """Return the object name of image `index` of an attempt.

    The name contains the attempt, so that a stale worker cannot overwrite the images of a later
    attempt.
    """
    return f"{folder}attempt-{attempt}/{index}.{extension}"
