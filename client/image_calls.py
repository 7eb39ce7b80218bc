"""Fetching images: from the API, or by the signed link that it names; every byte checked."""

import hashlib

import httpx

from client.calls import Calls, path_of
from client.errors import DamagedImageError, TaskCancelledError, TaskFailedError, UnexpectedAnswerError
from client.flow import Flow
from client.image_file import ImageFile
from client.problem_errors import ImageNotFoundError
from client.task import StoredImage, Task, TaskStatus
from client.task_calls import TaskRef, get, id_of


def images(calls: Calls, task: TaskRef) -> Flow[tuple[ImageFile, ...]]:
    """All images of a task; none while it has none."""
    # A snapshot of a task that went on does not know its images yet.
    has_ended = isinstance(task, Task) and task.status.is_terminal
    known = task if isinstance(task, Task) and has_ended else (yield from get(calls, task))
    files = []
    for stored in known.images:
        files.append((yield from _image(calls, known.id, stored)))
    return tuple(files)


def images_of_completed(calls: Calls, task: Task) -> Flow[tuple[ImageFile, ...]]:
    """All images of a task that has ended. Raises TaskFailedError, TaskCancelledError."""
    if task.status is TaskStatus.FAILED:
        raise TaskFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(task)
    return (yield from images(calls, task))


def preview(calls: Calls, task: TaskRef, index: int) -> Flow[bytes | None]:
    """What an image looks like so far, as a small JPEG; None before the first steps and after the end."""
    request = calls.request("GET", path_of("tasks", id_of(task), "previews", str(index)))
    try:
        return (yield from calls.answered(request)).content
    except ImageNotFoundError:
        return None


def _image(calls: Calls, task_id: str, stored: StoredImage) -> Flow[ImageFile]:
    # Always by the API's own address: links in a task that was read a while ago may have expired.
    request = calls.request("GET", path_of("tasks", task_id, "images", str(stored.index)))
    answer = yield from calls.answered(request)
    if answer.status_code == httpx.codes.FOUND:
        # Followed by hand: whoever serves the link must not see the caller's credentials.
        link = request.url.join(answer.headers["Location"])
        answer = yield from calls.answered(calls.anonymous_request(str(link)))
    if answer.status_code != httpx.codes.OK:
        raise UnexpectedAnswerError(str(answer.request.url.copy_with(query=None)), answer.status_code)
    if hashlib.sha256(answer.content).hexdigest() != stored.sha256:
        raise DamagedImageError(task_id, stored.index)
    return ImageFile(task_id=task_id, stored=stored, content=answer.content)
