"""Download of images from the API or by a signed link. Checksums are verified."""

import hashlib
import os
from functools import partial
from pathlib import Path

import httpx

from darkroom.calls import ONLY_OK, Calls, path_of
from darkroom.errors import (
    DamagedImageError,
    ImageNotFoundError,
    TaskCancelledError,
    TaskFailedError,
    UnexpectedResponseError,
)
from darkroom.image_files import ImageFile
from darkroom.models.task import StoredImage, Task, TaskRef, TaskStatus, id_of
from darkroom.received import MAX_IMAGE_BYTES, MAX_IMAGES_BYTES
from darkroom.resources.tasks import get
from darkroom.sansio import Call, Operation


def images(calls: Calls, task: TaskRef) -> Operation[tuple[ImageFile, ...]]:
    """Fetch all images of a task; empty while it has none.

    Raises UnexpectedResponseError if the memory might not hold them.
    """
    task = yield from _with_images(calls, task)
    if sum(stored.size_bytes for stored in task.images) > MAX_IMAGES_BYTES:
        reason = "its images are too large together: download() saves one at a time"
        raise UnexpectedResponseError(calls.address.url, httpx.codes.OK, reason)
    files = []
    for stored in task.images:
        files.append((yield from _image(calls, task.id, stored)))
    return tuple(files)


def download(calls: Calls, task: TaskRef, directory: str | os.PathLike[str]) -> Operation[tuple[Path, ...]]:
    """Save each image of a task as it arrives, and return the paths."""
    task = yield from _with_images(calls, task)
    paths: list[Path] = []
    for stored in task.images:
        image = yield from _image(calls, task.id, stored)
        paths.append((yield Call(partial(image.save, directory))))
    return tuple(paths)


def images_of_completed(calls: Calls, task: Task) -> Operation[tuple[ImageFile, ...]]:
    """Fetch all images of a finished task. Raises TaskFailedError, TaskCancelledError."""
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task)
    return (yield from images(calls, task))


def preview(calls: Calls, task: TaskRef, index: int) -> Operation[bytes | None]:
    """Fetch a preview of an image as a small JPEG.

    Returns None before the first steps and after the task has finished.
    """
    path = path_of("tasks", id_of(task), "previews", str(index))
    request = calls.request("GET", path, expected=ONLY_OK)
    try:
        return (yield from calls.send(request)).content
    except ImageNotFoundError:
        return None


def _with_images(calls: Calls, task: TaskRef) -> Operation[Task]:
    """Return the task with all its images. Raises UnexpectedResponseError if it has too many."""
    if not isinstance(task, Task) or not task.status.is_terminal:
        task = yield from get(calls, task)  # images may have been added since the snapshot
    indexes = {stored.index for stored in task.images}
    if not len(indexes) == len(task.images) <= task.parameters.num_images:
        reason = "it has more images than requested"
        raise UnexpectedResponseError(calls.address.url, httpx.codes.OK, reason)
    return task


def _image(calls: Calls, task_id: str, stored: StoredImage) -> Operation[ImageFile]:
    # Use the API's URL: the signed links in an older snapshot may have expired.
    path = path_of("tasks", task_id, "images", str(stored.index))
    max_bytes = min(MAX_IMAGE_BYTES, stored.size_bytes + 1)  # one more than the file shows its end
    request = calls.request("GET", path, max_bytes=max_bytes, expected=ONLY_OK | {httpx.codes.FOUND})
    response = yield from calls.send(request)
    if response.status_code == httpx.codes.FOUND:
        # Follow the redirect without the caller's credentials: the link leads to another host.
        link = calls.link(response.headers.get("Location"), response.status_code)
        response = yield from calls.send(calls.anonymous_request(link, max_bytes=max_bytes))
    if hashlib.sha256(response.content).hexdigest() != stored.sha256:
        raise DamagedImageError(task_id, stored.index)
    return ImageFile(task_id=task_id, stored=stored, content=response.content)
