"""Storage of generated images, and removal of unreferenced ones.

Runs on callback threads: the GPU never waits for encoding or uploads.
"""

import hashlib
import sys
from collections.abc import Collection
from dataclasses import dataclass

import structlog
from opentelemetry.trace import SpanKind

from common.domain.errors import DependencyUnavailableError
from common.domain.images import StoredImage, Thumbnail, image_object_name, thumbnail_object_name
from common.domain.task import Task, TaskStatus
from common.domain.task_warnings import parameters_with_effect
from common.observability.tracing import spanned
from gpu_subscriber.dependency_retry import DependencyRetry
from gpu_subscriber.errors import ObjectConflictError
from gpu_subscriber.images.encoding import encode_image, recorded
from gpu_subscriber.images.thumbnails import THUMBNAIL_CONTENT_TYPE, THUMBNAIL_FORMAT, thumbnail_of
from gpu_subscriber.ports import GeneratedImage, ImageWriter

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStorage:
    """Encodes images with their records and writes them under the attempt's object names."""

    writer: ImageWriter
    dependency_retry: DependencyRetry

    def store(self, task: Task, image: GeneratedImage) -> StoredImage:
        """Encode and upload an image.

        Raises ObjectConflictError, and DependencyUnavailableError after all retries.
        """
        parameters, size = task.parameters, (image.width, image.height)
        record = recorded(
            image.pixels,
            size,
            parameters_with_effect(task).of_image(image.index),
            image.draw_conditions,
            task_id=task.id,
            index=image.index,
            attempt=task.attempt,
        )
        data = encode_image(image.pixels, size, record)
        digest = hashlib.sha256(data).hexdigest()
        extension = parameters.output_format.extension
        name = image_object_name(task.folder, attempt=task.attempt, index=image.index, extension=extension)
        content_type = parameters.output_format.content_type
        metadata = {"task_id": task.id, "sha256": digest}
        attributes = {"darkroom.image.index": image.index, "darkroom.image.size_bytes": len(data)}
        with spanned("store image", kind=SpanKind.CLIENT, attributes=attributes):
            self.dependency_retry(
                lambda: self.writer.write(name, data, content_type=content_type, metadata=metadata)
            )
        thumbnail = self._store_thumbnail(task, image, image_bytes=len(data))
        return StoredImage(
            index=image.index,
            object_name=name,
            width=image.width,
            height=image.height,
            seed=parameters.seed_of(image.index),
            content_type=content_type,
            size_bytes=len(data),
            sha256=digest,
            provenance=record.provenance,
            thumbnail=thumbnail,
        )

    def _store_thumbnail(self, task: Task, image: GeneratedImage, *, image_bytes: int) -> Thumbnail | None:
        """Encode and upload a thumbnail; return None if it is not worth it or cannot be stored now."""
        made = thumbnail_of(image.pixels, (image.width, image.height), image_bytes=image_bytes)
        if made is None:
            return None
        data, (width, height) = made
        name = thumbnail_object_name(
            task.folder, attempt=task.attempt, index=image.index, extension=THUMBNAIL_FORMAT
        )
        digest = hashlib.sha256(data).hexdigest()
        metadata = {"task_id": task.id, "sha256": digest}
        try:
            self.writer.write(name, data, content_type=THUMBNAIL_CONTENT_TYPE, metadata=metadata)
        except (DependencyUnavailableError, ObjectConflictError) as error:
            # The image is complete without it.
            _log.warning(
                "thumbnail_not_stored", task_id=task.id, index=image.index, error=type(error).__name__
            )
            return None
        return Thumbnail(
            object_name=name,
            width=width,
            height=height,
            content_type=THUMBNAIL_CONTENT_TYPE,
            size_bytes=len(data),
            sha256=digest,
        )

    def remove_leftovers(self, task: Task, stored: Task) -> None:
        """Remove the images that the task no longer references, if the bucket is available.

        `task` is the task as of the attempt, `stored` the current one.
        """
        attempts = removable_attempts(task, stored)
        if attempts > 0:
            keep = {name for image in stored.images for name in image.object_names}
            self._remove(task.id, task.folder, up_to=attempts, keep=keep)

    def remove_all(self, task_id: str, folder: str) -> bool:
        """Remove all images of a deleted task, if the bucket is available; return whether it is."""
        return self._remove(task_id, folder, up_to=sys.maxsize)

    def _remove(self, task_id: str, folder: str, *, up_to: int, keep: Collection[str] = ()) -> bool:
        try:
            removed = self.writer.remove_attempts(folder, up_to=up_to, keep=keep)
        except DependencyUnavailableError:
            _log.warning("images_not_removed", task_id=task_id)
            return False
        _log.info("images_removed", task_id=task_id, images=removed)
        return True


def removable_attempts(task: Task, stored: Task) -> int:
    """Return the last attempt whose unreferenced images may be removed; 0 for none.

    `task` is the task as of the attempt, `stored` the current one, whose images are kept. Later
    attempts are excluded: their workers may have stored an image that is not in the document yet.
    Earlier attempts cannot add images, since their writes are fenced.
    """
    if stored.attempt > task.attempt:
        return task.attempt
    if not stored.status.is_terminal:
        return 0
    is_whole = stored.status is TaskStatus.COMPLETED and not stored.failed_images
    return stored.attempt - 1 if is_whole else stored.attempt
