"""Image objects in the bucket, as the task records them, and their object names."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from common.domain.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small version of an image, stored beside it."""

    object_name: str
    width: int
    height: int
    content_type: str
    size_bytes: int
    sha256: str


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
    thumbnail: Thumbnail | None = None
    """None if the image itself is small, and for images stored before thumbnails were."""

    @property
    def object_names(self) -> tuple[str, ...]:
        """The names of all its objects."""
        return (
            (self.object_name,) if self.thumbnail is None else (self.object_name, self.thumbnail.object_name)
        )

    @property
    def smallest(self) -> "StoredImage":
        """The thumbnail as an image of its own; the image itself if it has none."""
        small = self.thumbnail
        if small is None:
            return self
        return replace(
            self,
            object_name=small.object_name,
            width=small.width,
            height=small.height,
            content_type=small.content_type,
            size_bytes=small.size_bytes,
            sha256=small.sha256,
            thumbnail=None,
        )


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


def thumbnail_object_name(folder: str, *, attempt: int, index: int, extension: str) -> str:
    """Return the object name of the thumbnail of image `index` of an attempt, beside the image's."""
    return image_object_name(folder, attempt=attempt, index=index, extension=f"thumbnail.{extension}")
