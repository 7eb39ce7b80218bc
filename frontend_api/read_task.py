"""Read one task of a caller's. Other people's tasks do not exist."""

from dataclasses import dataclass

from common.domain.errors import TaskNotFoundError
from common.domain.images import Preview, StoredImage
from common.domain.task import Task
from common.ports import TaskStore


class ImageNotFoundError(Exception):
    """The task has no image or preview of this index, or none yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPreview:
    """A preview, and the attempt that it belongs to: the next attempt counts its steps anew."""

    attempt: int
    preview: Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTask:
    """The use case."""

    store: TaskStore

    def __call__(self, user_id: str, task_id: str) -> Task:
        """The task; raises TaskNotFoundError, for somebody else's exactly as for one that never was."""
        task = self.store.get(task_id)
        if task.user_id != user_id:
            raise TaskNotFoundError(task_id)
        return task

    def image(self, user_id: str, task_id: str, index: int) -> StoredImage:
        """One image of the task; raises TaskNotFoundError, ImageNotFoundError."""
        for image in self(user_id, task_id).images:
            if image.index == index:
                return image
        raise ImageNotFoundError(f"task {task_id!r} has no image {index}")

    def preview(self, user_id: str, task_id: str, index: int) -> SeenPreview:
        """The newest preview of one image; raises TaskNotFoundError, ImageNotFoundError."""
        task = self(user_id, task_id)
        for preview in task.previews:
            if preview.index == index:
                return SeenPreview(attempt=task.attempt, preview=preview)
        raise ImageNotFoundError(f"task {task_id!r} has no preview of image {index}")
