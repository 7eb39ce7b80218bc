"""Submission, wait and download in one operation."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from darkroom.calls import Calls
from darkroom.errors import ClientError, TaskDeletedError, TaskNotCompletedError, printable
from darkroom.image_files import ImageFile
from darkroom.models.task import Task
from darkroom.resources.images import images_of_completed
from darkroom.resources.tasks import submit
from darkroom.sansio import Operation
from darkroom.submission import SubmissionFields, finite, idempotency_key_or_new
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
    if timeout_seconds is not None:
        finite(timeout_seconds, "wait_seconds")
    key = idempotency_key_or_new(idempotency_key)
    task = yield from submit(calls, prompt, fields, key)
    with accepted(task, key):
        if not task.status.is_terminal:
            task = yield from wait(calls, task, timeout_seconds)
        return Generation(task=task, images=(yield from images_of_completed(calls, task)))


@contextmanager
def accepted(task: Task, key: str) -> Generator[None, None, None]:
    """Add an accepted task and its key to the errors of the calls that follow its submission.

    The task may continue or have images, so a submission without the key would create a second
    one. Only a task that failed, was cancelled or was deleted needs a new submission.
    """
    try:
        yield
    except ClientError as error:
        error.task_id, error.idempotency_key = task.id, key
        if not isinstance(error, TaskNotCompletedError | TaskDeletedError):
            error.outcome_is_unknown = True
            error.args = (f"{error}\n  The task was accepted: {printable(task.id)}",)
        raise
