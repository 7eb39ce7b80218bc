"""Delete a task with everything that was made for it."""

from dataclasses import dataclass

from common.ports import TaskStore
from frontend_api.cancel_task import CancelTask
from frontend_api.ports import ImageBucket


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTask:
    """The use case."""

    store: TaskStore
    images: ImageBucket
    cancel_task: CancelTask

    def __call__(self, user_id: str, task_id: str) -> None:
        """Cancel if needed, remove the images, then the document. Raises TaskNotFoundError.

        The images go first: were the document gone and the images not, nobody could ask for their removal again.
        """
        task = self.cancel_task(user_id, task_id)
        self.images.remove_all_of(task_id)
        self.store.delete(task_id)
        if not task.status.is_terminal:
            # A worker may have stored an image in between; from now on it finds no task and stores no more.
            self.images.remove_all_of(task_id)
