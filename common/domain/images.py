"""StoredImage: an image object in the bucket, as the task records it; and the names such objects carry."""

from dataclasses import dataclass
from datetime import UTC, datetime

from common.domain.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image that lies in the bucket, whole: `sha256` is the hex digest of the object's bytes."""

    index: int
    object_name: str
    width: int
    height: int
    seed: int
    content_type: str
    size_bytes: int
    sha256: str
    provenance: Provenance | None = None
    """How it came about; None of images that were stored before this was noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedImage:
    """An image that could not be generated. `message` is for the owner: no secrets, no stack trace."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A small JPEG of what image `index` looks like so far, after `step` steps."""

    index: int
    step: int
    jpeg: bytes


def task_folder(task_id: str, created_at: datetime) -> str:
    """The prefix of every object that is made for a task.

    A task that was deleted and submitted anew under its old id has another folder than its predecessor: whoever
    still draws for that one, or clears up after it, does not touch what is made for this one.
    """
    return f"tasks/{task_id}/{created_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}/"


def image_object_name(folder: str, *, attempt: int, index: int, extension: str) -> str:
    """Where image `index` of an attempt lies. The attempt is in the name: a zombie cannot overwrite its heir."""
    return f"{folder}attempt-{attempt}/{index}.{extension}"
