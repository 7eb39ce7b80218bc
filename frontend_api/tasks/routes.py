"""/v1/tasks: submit, read, list, cancel, retry and delete tasks.

/v1/tasks:batch takes many submissions in one request. /v1/results is for callers who poll.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from flask import Blueprint, Response, request
from pydantic import Field, ValidationError

from common.domain.task import Task, TaskStatus
from common.observability.metrics import TASKS_SUBMITTED, counter
from frontend_api.estimates.package import Estimates
from frontend_api.http.api_doc import Answer, Operation, described
from frontend_api.http.current import current
from frontend_api.http.error_mapping import body_problem, header_problem, problem_of
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError
from frontend_api.http.request_log import current_trace_id, note_task
from frontend_api.http.requests import (
    BAD_BODY,
    REFUSED_FOR_ITS_CONTENT,
    authenticate,
    caller_id,
    checked_task_id,
    idempotency_key,
    json_body,
    query,
)
from frontend_api.http.responses import conditional, json_answer, revalidated
from frontend_api.http.schemas import ProblemDocument, ResponseBody
from frontend_api.quotas.headers import limit_refusals
from frontend_api.quotas.quotas import Quotas
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
from frontend_api.tasks.schemas import (
    MAX_BATCH_BYTES,
    MAX_BATCH_VALUES,
    BatchItem,
    TaskBatch,
    TaskListQuery,
    TaskSubmission,
)
from frontend_api.tasks.submit import IdempotencyKeyReusedError, Submission, Submitted
from frontend_api.tasks.submit_batch import Outcome
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
    try:
        submitted = current(Tasks).submit(submission)
    except IdempotencyKeyReusedError as error:
        complaint = Complaint("header", "Idempotency-Key", "must be new for a new request")
        problem = Problem(code=error.code, detail=str(error), complaints=(complaint,))
        raise RequestRefusedError(problem) from error
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


batches = Blueprint("batches", __name__, url_prefix="/v1/tasks:batch")
batches.before_request(authenticate)


class BatchOutcome(StrEnum):
    """The outcome of one submission."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """A dependency did not confirm in time: the task may be stored."""


class BatchResultResponse(ResponseBody):
    """The result of one submission: a task, or a problem with pointers relative to that submission."""

    index: int = Field(description="The submission's position in `tasks`, from 0.")
    outcome: BatchOutcome = Field(
        description="`refused`: there is no task. `unknown`: there is a task, or may be; "
        "the same item with the same `idempotency_key` makes no second one."
    )
    task_id: str | None = Field(
        description="The task's id, also where the outcome is unknown; null if refused."
    )
    status: int = Field(
        description="What it would have been answered with alone: 202 accepted, 200 replayed, or the problem's."
    )
    task: TaskResponse | None
    problem: ProblemDocument | None
    retry_after_seconds: int | None = Field(description="When a retryable problem may be over.")


class BatchResponse(ResponseBody):
    """The result of each submission, in the order of the request."""

    accepted: int
    replayed: int
    refused: int
    unknown: int
    results: tuple[BatchResultResponse, ...]


@batches.post("")
@described(
    Operation(
        id="submitBatch",
        summary="Submit up to 100 tasks at once",
        tag="tasks",
        body=TaskBatch,
        answers={
            200: Answer(
                meaning="Each is accepted or refused by itself: `results` says how. An unknown outcome is neither.",
                body=BatchResponse,
            )
        },
        problems=(*BAD_BODY, "unauthenticated", "quota_exceeded", "dependency_unavailable"),
    )
)
def submit_batch() -> Response:
    """Accept every valid submission.

    Items with an `idempotency_key` create no second task when the batch is sent again.
    """
    limit_refusals()
    if "Idempotency-Key" in request.headers:
        detail = "stands for one task; here give each item an idempotency_key"
        raise RequestRefusedError(header_problem("Idempotency-Key", detail))
    items = tuple(json_body(TaskBatch, max_bytes=MAX_BATCH_BYTES, max_values=MAX_BATCH_VALUES).checked())
    fit = [item for item in items if isinstance(item, BatchItem)]
    user_id = caller_id()
    submissions = [item.submission(user_id=user_id, idempotency_key=item.idempotency_key) for item in fit]
    outcomes = iter(current(Tasks).submit_batch(user_id, submissions))
    results = [item if isinstance(item, ValidationError) else next(outcomes) for item in items]
    return json_answer(_batch_response(results))


def _batch_response(results: Sequence[Outcome | ValidationError]) -> BatchResponse:
    new = [result.task for result in results if isinstance(result, Submitted) and not result.replayed]
    for (model, lane), count in Counter((task.parameters.model, task.lane) for task in new).items():
        _accepted.add(count, {"model": model, "lane": lane.value})
    told = tuple(_batch_result(index, result) for index, result in enumerate(results))
    if any(one.status in REFUSED_FOR_ITS_CONTENT for one in told):
        current(Quotas).count_refused(caller_id())
    counts = Counter(one.outcome for one in told)
    return BatchResponse(
        accepted=counts[BatchOutcome.ACCEPTED],
        replayed=counts[BatchOutcome.REPLAYED],
        refused=counts[BatchOutcome.REFUSED],
        unknown=counts[BatchOutcome.UNKNOWN],
        results=told,
    )


def _batch_result(index: int, result: Outcome | ValidationError) -> BatchResultResponse:
    if isinstance(result, Submitted):
        estimate = current(Estimates).estimator(result.task)
        return BatchResultResponse(
            index=index,
            outcome=BatchOutcome.REPLAYED if result.replayed else BatchOutcome.ACCEPTED,
            task_id=result.task.id,
            status=200 if result.replayed else 202,
            task=TaskResponse.of(result.task, estimate=estimate, price=current(Usage).price),
            problem=None,
            retry_after_seconds=None,
        )
    problem = _item_problem(result)
    wait = problem.headers.get("Retry-After")
    return BatchResultResponse(
        index=index,
        outcome=BatchOutcome.REFUSED if problem.task_id is None else BatchOutcome.UNKNOWN,
        task_id=problem.task_id,
        status=problem.kind.status,
        task=None,
        problem=ProblemDocument.model_validate(problem.body(trace_id=current_trace_id())),
        retry_after_seconds=None if wait is None else int(wait),
    )


def _item_problem(error: Exception) -> Problem:
    problem = body_problem(error) if isinstance(error, ValidationError) else problem_of(error)
    if problem is None:
        raise error
    if isinstance(error, IdempotencyKeyReusedError):  # the key is a field of the item here, not a header
        complaint = Complaint("pointer", "/idempotency_key", "must be new for a new request")
        return replace(problem, complaints=(complaint,))
    return problem


results = Blueprint("results", __name__, url_prefix="/v1/results")
results.before_request(authenticate)

_POLL_AFTER_SECONDS = 1


@results.get("/<task_id>")
@described(
    Operation(
        id="readResult",
        summary="Poll for a task's end",
        tag="results",
        answers={
            200: Answer(meaning="The task has ended.", body=TaskResponse),
            202: Answer(
                meaning="Not yet.",
                body=TaskResponse,
                headers={"Retry-After": "Seconds until asking again pays."},
            ),
        },
        problems=("unauthenticated", "task_not_found", "dependency_unavailable"),
    )
)
def read_result(task_id: str) -> Response:
    """Return 202 while the task is queued or processing, 200 once it is in a terminal state."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    if task.status.is_terminal:
        return task_answer(task)
    return task_answer(task, 202, Retry_After=str(_POLL_AFTER_SECONDS))
