"""/v1/tasks:batch: many submissions in one request. Each is accepted or rejected separately."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from flask import Blueprint, Response, request
from pydantic import Field, ValidationError

from common.observability.metrics import TASKS_SUBMITTED, counter
from frontend_api.estimates.package import Estimates
from frontend_api.http.current import current
from frontend_api.http.error_mapping import body_problem, header_problem, problem_of
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError
from frontend_api.http.request_log import current_trace_id
from frontend_api.http.requests import (
    BAD_BODY,
    REFUSED_FOR_ITS_CONTENT,
    authenticate,
    caller_id,
    json_body,
    limit_refusals,
)
from frontend_api.http.responses import json_answer
from frontend_api.http.schemas import ProblemDocument, ResponseBody
from frontend_api.openapi.operation import Answer, Operation, described
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import TaskResponse
from frontend_api.tasks.schemas import MAX_BATCH_BYTES, MAX_BATCH_VALUES, BatchItem, TaskBatch
from frontend_api.tasks.submit import IdempotencyKeyReusedError, Submitted
from frontend_api.tasks.submit_batch import Outcome
from frontend_api.usage.package import Usage

blueprint = Blueprint("batches", __name__, url_prefix="/v1/tasks:batch")
blueprint.before_request(authenticate)

_accepted = counter(TASKS_SUBMITTED)


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


@blueprint.post("")
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
def submit() -> Response:
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
    return json_answer(_answer(results))


def _answer(results: Sequence[Outcome | ValidationError]) -> BatchResponse:
    new = [result.task for result in results if isinstance(result, Submitted) and not result.replayed]
    for (model, lane), count in Counter((task.parameters.model, task.lane) for task in new).items():
        _accepted.add(count, {"model": model, "lane": lane.value})
    told = tuple(_result(index, result) for index, result in enumerate(results))
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


def _result(index: int, result: Outcome | ValidationError) -> BatchResultResponse:
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
    problem = _problem(result)
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


def _problem(error: Exception) -> Problem:
    problem = body_problem(error) if isinstance(error, ValidationError) else problem_of(error)
    if problem is None:
        raise error
    if isinstance(error, IdempotencyKeyReusedError):  # the key is a field of the item here, not a header
        complaint = Complaint("pointer", "/idempotency_key", "must be new for a new request")
        return replace(problem, complaints=(complaint,))
    return problem
