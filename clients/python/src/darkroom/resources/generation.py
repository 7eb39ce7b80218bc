"""Submission, wait and download in one operation."""

from dataclasses import dataclass

from darkroom.calls import Calls
from darkroom.image_files import ImageFile
from darkroom.models.task import Task
from darkroom.resources.images import images_of_completed
from darkroom.resources.tasks import submit
from darkroom.sansio import Operation
from darkroom.submission import SubmissionFields
from darkroom.task_stream import wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A completed task with its images."""

    task: Task
    images: tuple[ImageFile, ...]


def generate(
    calls: Calls,
    prompt: str,
    fields: SubmissionFields,
    *,
    idempotency_key: str | None,
    timeout_seconds: float | None,
) -> Operation[Generation]:
    """Submit a task, wait for it and fetch the images.

    Raises TaskFailedError, TaskCancelledError, and the errors of `wait`.
    """
    task = yield from submit(calls, prompt, fields, idempotency_key)
    if not task.status.is_terminal:
        task = yield from wait(calls, task, timeout_seconds)
    return Generation(task=task, images=(yield from images_of_completed(calls, task)))
