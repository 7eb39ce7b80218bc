"""/v1/tasks: submit, read, list, cancel, retry and delete tasks."""

from dataclasses import replace

from flask import Blueprint, Response, request

from common.domain.task import Task, TaskStatus
from common.observability.metrics import TASKS_SUBMITTED, counter
from frontend_api.http.current import current
from frontend_api.http.request_log import note_task
from frontend_api.http.requests import (
    BAD_BODY,
    authenticate,
    caller_id,
    checked_task_id,
    idempotency_key,
    json_body,
    limit_refusals,
    query,
)
from frontend_api.http.responses import conditional, json_answer, revalidated
from frontend_api.openapi.operation import Answer, Operation, described
from frontend_api.streams.long_poll import (
    PREFER,
    PREFERENCE_APPLIED,
    applied,
    awaited_change,
    awaited_end,
    preferred_wait,
)
from frontend_api.streams.package import Streams
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import TaskPageResponse, TaskResponse, task_path
from frontend_api.tasks.schemas import TaskListQuery, TaskSubmission
from frontend_api.tasks.submit import Submission, Submitted
from frontend_api.usage.package import Usage

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
            "Idempotency-Key": "1 to 255 printable ASCII characters. The same key and body always lead to one task.",
            **PREFER,
        },
        answers={
            202: Answer(
                meaning="Accepted: stored and queued.",
                body=TaskResponse,
                headers={**_LOCATION, **PREFERENCE_APPLIED},
            ),
            200: Answer(
                meaning="The task that this Idempotency-Key made before; or the caller waited and it has ended.",
                body=TaskResponse,
                headers={**_LOCATION, **PREFERENCE_APPLIED, "Idempotency-Replayed": "`true`, of a replay."},
            ),
        },
        problems=(
            *BAD_BODY,
            "unauthenticated",
            "unknown_model",
            "idempotency_key_reused",
            "task_not_found",
            "too_many_waiting",
            "quota_exceeded",
            "queue_full",
            "dependency_unavailable",
        ),
    )
)
def submit() -> Response:
    """Accept a task. A 503 contains the task's id when the task was stored but not queued yet:
    rescue will queue it.
    """
    limit_refusals()
    key = idempotency_key()
    submission = json_body(TaskSubmission).submission(user_id=caller_id(), idempotency_key=key)
    seconds = preferred_wait()
    if seconds is None:
        return _submitted_answer(_submitted(submission))
    # Take the slot before the submission: a rejection afterwards would hide from the caller that
    # the task was accepted.
    with current(Streams).subscriptions.reserve() as place:
        submitted = _submitted(submission)
        task = awaited_end(place, submitted.task, seconds)
    return applied(_submitted_answer(replace(submitted, task=task)), seconds)


def task_answer(task: Task, status: int = 200, **headers: str) -> Response:
    """Return a task with its ETag."""
    snapshot = current(Tasks).render(task)
    return revalidated(snapshot.json, status, etag=snapshot.etag, **headers)


def _submitted(submission: Submission) -> Submitted:
    submitted = current(Tasks).submit(submission)
    task = submitted.task
    note_task(task.id)
    if not submitted.replayed:
        _accepted.add(1, {"model": task.parameters.model, "lane": task.lane.value})
    return submitted


def _submitted_answer(submitted: Submitted) -> Response:
    task = submitted.task
    if submitted.replayed:
        return task_answer(task, 200, Location=task_path(task.id), Idempotency_Replayed="true")
    return task_answer(task, 200 if task.status.is_terminal else 202, Location=task_path(task.id))


@blueprint.get("/<task_id>")
@described(
    Operation(
        id="readTask",
        summary="Read a task",
        tag="tasks",
        request_headers={"If-None-Match": "The ETag of the answer you have.", **PREFER},
        answers={
            200: Answer(
                meaning="The task.",
                body=TaskResponse,
                headers={"ETag": "Changes when the task does.", **PREFERENCE_APPLIED},
            ),
            304: Answer(meaning="The task is as you know it.", headers=PREFERENCE_APPLIED),
        },
        problems=(*_ONE_TASK, "too_many_waiting"),
    )
)
def read(task_id: str) -> Response:
    """Return one of the caller's tasks, either at once or when it changes next."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    seconds = preferred_wait()
    answer = task_answer(task)
    known = not request.if_none_match or request.if_none_match.contains_weak(answer.get_etag()[0] or "")
    if seconds is not None and known and not task.status.is_terminal:
        with current(Streams).subscriptions(task) as subscription:
            answer = awaited_change(subscription, answer, task, seconds, answer_for=task_answer)
    return applied(conditional(answer), seconds)


@blueprint.get("")
@described(
    Operation(
        id="listTasks",
        summary="List your tasks, newest first",
        tag="tasks",
        query=TaskListQuery,
        answers={200: Answer(meaning="One page.", body=TaskPageResponse)},
        problems=("parameters_rejected", "unauthenticated", "dependency_unavailable"),
    )
)
def list_page() -> Response:
    """Return a page of the caller's tasks."""
    asked = query(TaskListQuery)
    page = current(Tasks).list_page(
        caller_id(),
        status=asked.status,
        model=asked.model,
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    tasks = tuple(TaskResponse.of(task, price=current(Usage).price) for task in page.tasks)
    return json_answer(TaskPageResponse(tasks=tasks, next_page_token=page.next_page_token))


@blueprint.post("/<task_id>/cancel")
@described(
    Operation(
        id="cancelTask",
        summary="Cancel a task",
        tag="tasks",
        answers={
            200: Answer(meaning="The task has ended: cancelled, or as it had before.", body=TaskResponse),
            202: Answer(meaning="A worker holds the task and has been told to stop.", body=TaskResponse),
        },
        problems=_ONE_TASK,
    )
)
def cancel(task_id: str) -> Response:
    """Cancel a task. Idempotent. A task in a terminal state does not change."""
    task = current(Tasks).cancel(caller_id(), checked_task_id(task_id))
    return task_answer(task, 202 if task.status is TaskStatus.PROCESSING else 200)


@blueprint.post("/<task_id>/retry")
@described(
    Operation(
        id="retryTask",
        summary="Generate the missing images of a task",
        tag="tasks",
        answers={
            202: Answer(
                meaning="Queued again, with the same id, seed and finished images.", body=TaskResponse
            )
        },
        problems=(*_ONE_TASK, "invalid_transition", "quota_exceeded", "queue_full"),
    )
)
def retry(task_id: str) -> Response:
    """Retry a failed or cancelled task, or a completed one with `failed_images`.

    Finished images are kept.
    """
    task = current(Tasks).retry(caller_id(), checked_task_id(task_id))
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
    """Delete a task permanently."""
    current(Tasks).delete(caller_id(), checked_task_id(task_id))
    return Response(status=204)
