"""The package as one record."""

from dataclasses import dataclass

from common.ports import TaskStore
from frontend_api.tasks.changes import CancelTask, LabelTask, RetryTask
from frontend_api.tasks.delete import DeleteTask, RemoveExpiredTasks
from frontend_api.tasks.read import ReadTask
from frontend_api.tasks.rendering import RenderTask
from frontend_api.tasks.submit import SubmitTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    submit: SubmitTask
    store: TaskStore
    read: ReadTask
    cancel: CancelTask
    retry: RetryTask
    label: LabelTask
    delete: DeleteTask
    remove_expired: RemoveExpiredTasks
    render: RenderTask
