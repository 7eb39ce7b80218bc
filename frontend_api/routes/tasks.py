"""/v1/tasks: submit, read, list, cancel, delete."""

from flask import Blueprint, Response

from common.domain.task import TaskStatus
from common.observability.metrics import TASKS_SUBMITTED, counter
from frontend_api.answers import TaskAnswer, TaskPageAnswer, task_path
from frontend_api.dependencies import wired
from frontend_api.operations import Answer, Operation, described
from frontend_api.request_log import note_task
from frontend_api.routes.answering import conditional, json_answer, task_answer
from frontend_api.routes.requests import (
    BAD_BODY,
    authenticate,
    caller_id,
    checked_task_id,
    idempotency_key,
    json_body,
    query,
)
from frontend_api.schemas import TaskListQuery, TaskSubmission

blueprint = Blueprint("tasks", __name__, url_prefix="/v1/tasks")
blueprint.before_request(authenticate)

_accepted = counter(TASKS_SUBMITTED)
_ONE_TASK = ("unauthenticated", "task_not_found", "dependency_unavailable")
_LOCATION = {"Location": "Where the task is read."}


@blueprint.post("")
@described(
    Operation(
        id="submitTask",
        summary="Submit a task",
        tag="tasks",
        body=TaskSubmission,
        request_headers={
            "Idempotency-Key": "1 to 255 printable ASCII characters. The same key and body always lead to one task."
        },
        answers={
            202: Answer(meaning="Accepted: stored and queued.", body=TaskAnswer, headers=_LOCATION),
            200: Answer(
                meaning="The task that this Idempotency-Key made before.",
                body=TaskAnswer,
                headers={**_LOCATION, "Idempotency-Replayed": "`true`"},
            ),
        },
        problems=(
            *BAD_BODY,
            "unauthenticated",
            "unknown_model",
            "idempotency_key_reused",
            "dependency_unavailable",
        ),
    )
)
def submit() -> Response:
    """Accept a task. A 503 names the task when it was stored but not queued yet: nothing is lost."""
    key = idempotency_key()
    submission = json_body(TaskSubmission).submission(user_id=caller_id(), idempotency_key=key)
    submitted = wired().submit_task(submission)
    task = submitted.task
    note_task(task.id)
    if submitted.replayed:
        return task_answer(task, 200, Location=task_path(task.id), Idempotency_Replayed="true")
    _accepted.add(1, {"model": task.parameters.model, "lane": task.lane.value})
    return task_answer(task, 202, Location=task_path(task.id))


@blueprint.get("/<task_id>")
@described(
    Operation(
        id="readTask",
        summary="Read a task",
        tag="tasks",
        request_headers={"If-None-Match": "The ETag of the answer you have."},
        answers={
            200: Answer(
                meaning="The task.", body=TaskAnswer, headers={"ETag": "Changes when the task does."}
            ),
            304: Answer(meaning="The task is as you know it."),
        },
        problems=_ONE_TASK,
    )
)
def read(task_id: str) -> Response:
    """One of the caller's tasks."""
    return conditional(task_answer(wired().read_task(caller_id(), checked_task_id(task_id))))


@blueprint.get("")
@described(
    Operation(
        id="listTasks",
        summary="List your tasks, newest first",
        tag="tasks",
        query=TaskListQuery,
        answers={200: Answer(meaning="One page.", body=TaskPageAnswer)},
        problems=("parameters_rejected", "unauthenticated", "dependency_unavailable"),
    )
)
def list_page() -> Response:
    """A page of the caller's tasks."""
    asked = query(TaskListQuery)
    page = wired().list_tasks(
        caller_id(),
        status=asked.status,
        model=asked.model,
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    tasks = tuple(TaskAnswer.of(task) for task in page.tasks)
    return json_answer(TaskPageAnswer(tasks=tasks, next_page_token=page.next_page_token))


@blueprint.post("/<task_id>/cancel")
@described(
    Operation(
        id="cancelTask",
        summary="Cancel a task",
        tag="tasks",
        answers={
            200: Answer(meaning="The task has ended: cancelled, or as it had before.", body=TaskAnswer),
            202: Answer(meaning="A worker holds the task and has been told to stop.", body=TaskAnswer),
        },
        problems=_ONE_TASK,
    )
)
def cancel(task_id: str) -> Response:
    """Idempotent; a task that has ended stays as it is."""
    task = wired().cancel_task(caller_id(), checked_task_id(task_id))
    return task_answer(task, 202 if task.status is TaskStatus.PROCESSING else 200)


@blueprint.post("/<task_id>/retry")
@described(
    Operation(
        id="retryTask",
        summary="Try a failed or cancelled task again",
        tag="tasks",
        answers={202: Answer(meaning="Queued again, with the same id and seed.", body=TaskAnswer)},
        problems=(*_ONE_TASK, "invalid_transition"),
    )
)
def retry(task_id: str) -> Response:
    """The task is drawn anew; its earlier images, if any, are no longer its own."""
    task = wired().retry_task(caller_id(), checked_task_id(task_id))
    return task_answer(task, 202, Location=task_path(task.id))


@blueprint.delete("/<task_id>")
@described(
    Operation(
        id="deleteTask",
        summary="Delete a task and its images",
        tag="tasks",
        answers={204: Answer(meaning="Gone: cancelled if it was needed, document and images removed.")},
        problems=_ONE_TASK,
    )
)
def delete(task_id: str) -> Response:
    """Delete for good."""
    wired().delete_task(caller_id(), checked_task_id(task_id))
    return Response(status=204)
