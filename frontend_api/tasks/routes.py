"""/v1/tasks: submit, read, list, cancel, retry and delete tasks. /v1/results: for callers who poll."""

from dataclasses import replace

from flask import Blueprint, Response, request

from common.domain.task import Task, TaskStatus
from common.observability.metrics import TASKS_SUBMITTED, counter
from frontend_api.http.api_doc import CHANGE_AND_READ, ApiDoc, ResponseDoc
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError
from frontend_api.http.request_log import log_task_id
from frontend_api.http.requests import (
    authenticate,
    caller_id,
    checked_task_id,
    current,
    idempotency_key,
    json_body,
    query,
)
from frontend_api.http.responses import conditional, json_response, own_address, versioned
from frontend_api.identity.ports import Identity
from frontend_api.quotas.headers import limit_rejections
from frontend_api.streams.long_poll import (
    PREFER,
    PREFERENCE_APPLIED,
    preferred_wait,
    wait_for_change,
    wait_until_finished,
    with_applied_wait,
)
from frontend_api.streams.slots import reserve_subscription
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import TaskPageResponse, TaskResponse, task_path
from frontend_api.tasks.schemas import (
    LabelChange,
    TaskListQuery,
    TaskSubmission,
)
from frontend_api.tasks.submit import IdempotencyKeyReusedError, Submission, Submitted

blueprint = Blueprint("tasks", __name__, url_prefix="/v1/tasks")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="tasks")
results_doc = ApiDoc(tag="results")

_accepted = counter(TASKS_SUBMITTED)
_LOCATION = {"Location": "The URL of the task."}
SUBMISSION_PROBLEMS = (
    "unknown_model",
    "idempotency_key_reused",
    "task_not_found",
    "too_many_waiting",
    "queue_full",
    "content_policy_violation",
)
"""What may be wrong with a submission whose caller may wait for the result."""


@blueprint.post("")
@doc(
    "submitTask",
    {
        202: ResponseDoc(
            "The task is stored and queued.", TaskResponse, headers={**_LOCATION, **PREFERENCE_APPLIED}
        ),
        200: ResponseDoc(
            "The task of an earlier request with this Idempotency-Key, or the finished task of a caller that waited.",
            TaskResponse,
            headers={
                **_LOCATION,
                **PREFERENCE_APPLIED,
                "Idempotency-Replayed": "`true` if an earlier request created the task.",
            },
        ),
    },
    problems=SUBMISSION_PROBLEMS,
    body=TaskSubmission,
    headers={
        "Idempotency-Key": "1 to 255 printable ASCII characters. Requests with the same key and body create one task.",
        **PREFER,
    },
)
def submit() -> Response:
    """Submit a task.

    A 503 contains the task's id when the task is stored but not queued yet: rescue queues it.
    """
    limit_rejections()
    key = idempotency_key()
    submission = json_body(TaskSubmission).submission(user_id=caller_id(), idempotency_key=key)
    seconds = preferred_wait()
    if seconds is None:
        return _submission_response(accept(submission))
    # Take the slot first: a rejection afterwards would hide that the task was accepted.
    subscription = reserve_subscription()
    submitted = accept(submission)
    task = wait_until_finished(subscription, submitted.task, seconds)
    return with_applied_wait(_submission_response(replace(submitted, task=task)), seconds)


def task_response(task: Task, status: int = 200, **headers: str) -> Response:
    """Return a task with its ETag."""
    snapshot = current(Tasks).render(task)
    return versioned(snapshot.json, status, etag=snapshot.etag, **headers)


def task_location(task: Task) -> str:
    return own_address(task_path(task.id))


def accept(submission: Submission) -> Submitted:
    """Submit a task for a request with this submission; count and log it."""
    try:
        submitted = current(Tasks).submit(submission)
    except IdempotencyKeyReusedError as error:
        complaint = Complaint("header", "Idempotency-Key", "was used before for a different request")
        problem = Problem(code=error.code, detail=str(error), complaints=(complaint,))
        raise RequestRefusedError(problem) from error
    task = submitted.task
    log_task_id(task.id)
    if not submitted.replayed:
        _accepted.add(1, {"model": task.parameters.model, "lane": task.lane.value})
    return submitted


def _submission_response(submitted: Submitted) -> Response:
    task = submitted.task
    if submitted.replayed:
        return task_response(task, 200, Location=task_location(task), Idempotency_Replayed="true")
    return task_response(task, 200 if task.status.is_terminal else 202, Location=task_location(task))


@blueprint.get("/<task_id>")
@doc(
    "readTask",
    {
        200: ResponseDoc(
            "The task.",
            TaskResponse,
            headers={"ETag": "Changes whenever the task changes.", **PREFERENCE_APPLIED},
        ),
        304: ResponseDoc(
            "The task has not changed since the response with this ETag.", headers=PREFERENCE_APPLIED
        ),
    },
    problems=("task_not_found", "too_many_waiting"),
    headers={"If-None-Match": "The ETag of an earlier response.", **PREFER},
)
def read(task_id: str) -> Response:
    """Read a task."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    seconds = preferred_wait()
    response = task_response(task)
    known = not request.if_none_match or request.if_none_match.contains_weak(response.get_etag()[0] or "")
    if seconds is not None and known and not task.status.is_terminal:
        response = wait_for_change(reserve_subscription(), response, task, seconds, respond=task_response)
    return with_applied_wait(conditional(response), seconds)


@blueprint.get("")
@doc(
    "listTasks",
    {200: ResponseDoc("A page of tasks.", TaskPageResponse)},
    query=TaskListQuery,
)
def list_page() -> Response:
    """List your tasks, newest first."""
    page_query = query(TaskListQuery)
    page = current(Tasks).store.list_for(
        caller_id(),
        only=page_query.selected,
        page_size=page_query.page_size,
        page_token=page_query.page_token,
    )
    current(Identity).request_rate.count_listed(caller_id(), len(page.tasks))
    tasks = tuple(map(current(Tasks).render.response, page.tasks))
    return json_response(TaskPageResponse(tasks=tasks, next_page_token=page.next_page_token))


@blueprint.post("/<task_id>/cancel")
@doc(
    "cancelTask",
    {
        200: ResponseDoc("The task is in a terminal state: cancelled now, or finished before.", TaskResponse),
        202: ResponseDoc("A worker holds the task. It cancels the task at its next heartbeat.", TaskResponse),
    },
    problems=("task_not_found",),
    scopes=CHANGE_AND_READ,
)
def cancel(task_id: str) -> Response:
    """Cancel a task."""
    task = current(Tasks).cancel(caller_id(), checked_task_id(task_id))
    return task_response(task, 202 if task.status is TaskStatus.PROCESSING else 200)


@blueprint.post("/<task_id>/retry")
@doc(
    "retryTask",
    {202: ResponseDoc("The task is queued again, with the same id, seed and finished images.", TaskResponse)},
    problems=(
        "task_not_found",
        "invalid_transition",
        "parameters_rejected",
        "queue_full",
        "content_policy_violation",
    ),
    scopes=CHANGE_AND_READ,
)
def retry(task_id: str) -> Response:
    """Generate the missing images of a task.

    Finished images are kept.
    """
    task = current(Tasks).retry(caller_id(), checked_task_id(task_id))
    return task_response(task, 202, Location=task_location(task))


@blueprint.post("/<task_id>/labels")
@doc(
    "labelTask",
    {200: ResponseDoc("The task with its new labels.", TaskResponse)},
    problems=("task_not_found",),
    body=LabelChange,
    scopes=CHANGE_AND_READ,
)
def label(task_id: str) -> Response:
    """Change the labels of a task."""
    labels = json_body(LabelChange).labels
    return task_response(current(Tasks).label(caller_id(), checked_task_id(task_id), labels))


@blueprint.delete("/<task_id>")
@doc(
    "deleteTask",
    {204: ResponseDoc("The task was cancelled if necessary, and its document and images were deleted.")},
    problems=("task_not_found",),
)
def delete(task_id: str) -> Response:
    """Delete a task and its images."""
    current(Tasks).delete(caller_id(), checked_task_id(task_id))
    return Response(status=204)


results = Blueprint("results", __name__, url_prefix="/v1/results")
results.before_request(authenticate)

_POLL_AFTER_SECONDS = 1


@results.get("/<task_id>")
@results_doc(
    "readResult",
    {
        200: ResponseDoc("The task is in a terminal state.", TaskResponse),
        202: ResponseDoc(
            "The task is queued or processing.",
            TaskResponse,
            headers={"Retry-After": "Seconds to wait before the next poll."},
        ),
    },
    problems=("task_not_found",),
)
def read_result(task_id: str) -> Response:
    """Poll for a task's result."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    if task.status.is_terminal:
        return task_response(task)
    return task_response(task, 202, Retry_After=str(_POLL_AFTER_SECONDS))
