"""Fetching images from the API or by a signed link. Checksums are verified."""

import hashlib

import httpx

from darkroom.calls import Calls, path_of
from darkroom.errors import DamagedImageError, TaskCancelledError, TaskFailedError, UnexpectedAnswerError
from darkroom.image_file import ImageFile
from darkroom.models.task import StoredImage, Task, TaskRef, TaskStatus, id_of
from darkroom.problem_errors import ImageNotFoundError
from darkroom.resources.tasks import get
from darkroom.sansio import Flow


def images(calls: Calls, task: TaskRef) -> Flow[tuple[ImageFile, ...]]:
    """Fetch all images of a task; empty while it has none."""
    # The snapshot of an unfinished task may lack images that exist by now.
    has_ended = isinstance(task, Task) and task.status.is_terminal
    known = task if isinstance(task, Task) and has_ended else (yield from get(calls, task))
    files = []
    for stored in known.images:
        files.append((yield from _image(calls, known.id, stored)))
    return tuple(files)


def images_of_completed(calls: Calls, task: Task) -> Flow[tuple[ImageFile, ...]]:
    """Fetch all images of a task in a terminal state. Raises TaskFailedError, TaskCancelledError."""
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task)
    return (yield from images(calls, task))


def preview(calls: Calls, task: TaskRef, index: int) -> Flow[bytes | None]:
    """Fetch a preview of an image as a small JPEG.

    Returns None before the first steps and after the task has finished.
    """
    request = calls.request("GET", path_of("tasks", id_of(task), "previews", str(index)))
    try:
        return (yield from calls.answered(request)).content
    except ImageNotFoundError:
        return None


def _image(calls: Calls, task_id: str, stored: StoredImage) -> Flow[ImageFile]:
    # Use the API's URL: the signed links in an older snapshot may have expired.
    request = calls.request("GET", path_of("tasks", task_id, "images", str(stored.index)))
    answer = yield from calls.answered(request)
    if answer.status_code == httpx.codes.FOUND:
        # Follow the redirect without the caller's credentials: the link leads to another host.
        link = request.url.join(answer.headers["Location"])
        answer = yield from calls.answered(calls.anonymous_request(str(link)))
    if answer.status_code != httpx.codes.OK:
        raise UnexpectedAnswerError(str(answer.request.url.copy_with(query=None)), answer.status_code)
    if hashlib.sha256(answer.content).hexdigest() != stored.sha256:
        raise DamagedImageError(task_id, stored.index)
    return ImageFile(task_id=task_id, stored=stored, content=answer.content)
