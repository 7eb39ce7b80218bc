"""Read one of a caller's tasks. Tasks of other users are reported as not found."""

from dataclasses import dataclass

from common.domain.errors import DomainError, TaskNotFoundError
from common.domain.images import Preview, StoredImage
from common.domain.task import Task
from common.ports import TaskStore


class ImageNotFoundError(DomainError):
    """The task has no image or preview with this index, or none yet."""

    code = "image_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTask:
    store: TaskStore

    def __call__(self, user_id: str, task_id: str) -> Task:
        """Return the task. Raises TaskNotFoundError, also for another user's task."""
        task = self.store.get(task_id)
        if task.user_id != user_id:
            raise TaskNotFoundError(task_id)
        return task

    def image(self, user_id: str, task_id: str, index: int) -> StoredImage:
        """Return one image of the task. Raises TaskNotFoundError, ImageNotFoundError."""
        for image in self(user_id, task_id).images:
            if image.index == index:
                return image
        raise ImageNotFoundError(f"task {task_id!r} has no image {index}")

    def preview(self, user_id: str, task_id: str, index: int) -> tuple[Task, Preview]:
        """Return the task and the newest preview of one image.

        Raises TaskNotFoundError, ImageNotFoundError.
        """
        task = self(user_id, task_id)
        for preview in task.previews:
            if preview.index == index:
                return task, preview
        raise ImageNotFoundError(f"task {task_id!r} has no preview of image {index}")
