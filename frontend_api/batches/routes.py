"""/v1/tasks:batch submits many tasks; /v1/tasks:cancel, :delete and :label change many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flask import Blueprint, Response, request
from pydantic import ValidationError

from common.domain.errors import DomainError
from common.domain.task import Task, TaskStatus
from common.observability.metrics import TASKS_SUBMITTED, counter
from common.ports import InvalidPageTokenError
from frontend_api.batches.change_tasks import Change, ChangeOutcome
from frontend_api.batches.package import Batches
from frontend_api.batches.responses import (
    BatchOutcome,
    BatchResponse,
    BatchResultResponse,
    ChangedTaskResponse,
    ChangedTasksResponse,
)
from frontend_api.batches.schemas import (
    MAX_BATCH_VALUES,
    BatchItem,
    LabelsOfTasks,
    TaskBatch,
    TaskSelection,
)
from frontend_api.batches.submit_batch import Outcome
from frontend_api.estimates.estimate import NO_ESTIMATE, Estimate
from frontend_api.estimates.package import Estimates
from frontend_api.http.api_doc import CHANGE_AND_READ, ApiDoc, ResponseDoc
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.error_mapping import body_problem, header_problem, problem_of
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError, rejected
from frontend_api.http.request_log import current_trace_id
from frontend_api.http.requests import (
    REJECTED_FOR_CONTENT,
    authenticate,
    caller_id,
    current,
    json_body,
    well_formed_task_id,
)
from frontend_api.http.response_memory import check_response_memory
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ProblemDocument
from frontend_api.identity.ports import Identity
from frontend_api.quotas.headers import limit_rejections
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.submit import IdempotencyKeyReusedError, Submitted

blueprint = Blueprint("batches", __name__, url_prefix="/v1")
blueprint.before_request(authenticate)
blueprint.before_request(check_response_memory)  # responses have up to 100 tasks
doc = ApiDoc(tag="tasks")

_accepted = counter(TASKS_SUBMITTED)


@blueprint.post("/tasks:batch")
@doc(
    "submitBatch",
    {
        200: ResponseDoc(
            "The result of each submission. Each is accepted or refused separately.",
            BatchResponse,
        )
    },
    body=TaskBatch,
)
def submit_batch() -> Response:
    """Submit up to 100 tasks at once.

    Each counts as a request. Items with an `idempotency_key` create no second task when the batch is
    sent again.
    """
    limit_rejections()
    if "Idempotency-Key" in request.headers:
        detail = "applies to a single submission; set `idempotency_key` in each item instead"
        raise RequestRefusedError(header_problem("Idempotency-Key", detail))
    with current(ConcurrencyLimiter).in_turn(current(Batches).in_progress):
        return _submitted()


def _submitted() -> Response:
    items = tuple(json_body(TaskBatch, max_values=MAX_BATCH_VALUES).checked())
    current(Identity).request_rate.count(caller_id(), len(items) - 1)  # beside the request itself
    valid = [item for item in items if isinstance(item, BatchItem)]
    user_id = caller_id()
    submissions = [item.submission(user_id=user_id, idempotency_key=item.idempotency_key) for item in valid]
    outcomes = iter(current(Batches).submit(user_id, submissions))
    results = [item if isinstance(item, ValidationError) else next(outcomes) for item in items]
    return json_response(_batch_response(results))


def _batch_response(results: Sequence[Outcome | ValidationError]) -> BatchResponse:
    new = [result.task for result in results if isinstance(result, Submitted) and not result.replayed]
    for (model, lane), count in Counter((task.parameters.model, task.lane) for task in new).items():
        _accepted.add(count, {"model": model, "lane": lane.value})
    tasks = [result.task for result in results if isinstance(result, Submitted)]
    estimates = iter(current(Estimates).estimator.each(tasks))
    results_of_items = tuple(
        _batch_result(index, result, next(estimates) if isinstance(result, Submitted) else NO_ESTIMATE)
        for index, result in enumerate(results)
    )
    if any(one.status in REJECTED_FOR_CONTENT for one in results_of_items):
        current(Quotas).count_rejected(caller_id())
    counts = Counter(one.outcome for one in results_of_items)
    return BatchResponse(
        **{outcome.value: counts[outcome] for outcome in BatchOutcome}, results=results_of_items
    )


def _batch_result(index: int, result: Outcome | ValidationError, estimate: Estimate) -> BatchResultResponse:
    if isinstance(result, Submitted):
        return BatchResultResponse(
            index=index,
            outcome=BatchOutcome.REPLAYED if result.replayed else BatchOutcome.ACCEPTED,
            task_id=result.task.id,
            status=200 if result.replayed else 202,
            task=current(Tasks).render.response(result.task, estimate=estimate),
            problem=None,
            retry_after_seconds=None,
        )
    problem = _item_problem(result)
    return BatchResultResponse(
        index=index,
        outcome=BatchOutcome.REFUSED if problem.task_id is None else BatchOutcome.UNKNOWN,
        task_id=problem.task_id,
        status=problem.kind.status,
        task=None,
        problem=_problem_document(problem),
        retry_after_seconds=_retry_after_seconds(problem),
    )


def _item_problem(error: Exception) -> Problem:
    problem = body_problem(error) if isinstance(error, ValidationError) else problem_of(error)
    if problem is None:
        raise error
    if isinstance(error, IdempotencyKeyReusedError):  # the key is a field of the item here, not a header
        complaint = Complaint("pointer", "/idempotency_key", "was used before for a different request")
        return replace(problem, complaints=(complaint,))
    return problem


def _problem_document(problem: Problem) -> ProblemDocument:
    return ProblemDocument.model_validate(
        problem.body(trace_id=current_trace_id(), base_path=request.root_path)
    )


def _retry_after_seconds(problem: Problem) -> int | None:
    wait = problem.headers.get("Retry-After")
    return None if wait is None else int(wait)


_CHANGED = {
    200: ResponseDoc("The result for each task. Each is changed or fails separately.", ChangedTasksResponse)
}


@blueprint.post("/tasks:cancel")
@doc("cancelTasks", _CHANGED, problems=("too_many_waiting",), body=TaskSelection, scopes=CHANGE_AND_READ)
def cancel_tasks() -> Response:
    """Cancel up to 100 tasks."""
    user_id, cancel = caller_id(), current(Tasks).cancel
    return _changed(json_body(TaskSelection), partial(cancel, user_id), in_progress=202)


@blueprint.post("/tasks:delete")
@doc("deleteTasks", _CHANGED, problems=("too_many_waiting",), body=TaskSelection)
def delete_tasks() -> Response:
    """Delete up to 100 tasks and their images."""
    user_id, delete = caller_id(), current(Tasks).delete
    return _changed(json_body(TaskSelection), partial(delete, user_id))


@blueprint.post("/tasks:label")
@doc("labelTasks", _CHANGED, problems=("too_many_waiting",), body=LabelsOfTasks, scopes=CHANGE_AND_READ)
def label_tasks() -> Response:
    """Change the labels of up to 100 tasks."""
    user_id, label, selection = caller_id(), current(Tasks).label, json_body(LabelsOfTasks)
    return _changed(selection, lambda task_id: label(user_id, task_id, selection.labels))


def _changed(selection: TaskSelection, change: Change, *, in_progress: int = 200) -> Response:
    """Apply a change to the selected tasks. `in_progress` is the status for a task that a worker holds.

    The tasks that change at once take the caller's capacity one by one, instead of the request.
    """
    change_tasks, page, gate = current(Batches).change, None, current(ConcurrencyLimiter)
    caller = gate.current_caller()

    def change_within_limit(task_id: str) -> Task | None:
        with gate.held_by(caller):
            return change(well_formed_task_id(task_id))

    with gate.released(), change_tasks.turn_of(caller_id()):
        if selection.filter is not None:
            try:
                with gate.held_by(caller):
                    page = change_tasks.select(caller_id(), selection.filter.selected, selection.page_token)
            except InvalidPageTokenError as error:
                detail = "must be the `next_page_token` of a previous response"
                raise RequestRefusedError(rejected([Complaint("pointer", "/page_token", detail)])) from error
        task_ids = [task.id for task in page.tasks] if page is not None else selection.task_ids or []
        outcomes = change_tasks(task_ids, change_within_limit, user_id=caller_id())
    results = tuple(
        _change_result(task_id, outcome, in_progress)
        for task_id, outcome in zip(task_ids, outcomes, strict=True)
    )
    done = sum(result.is_done for result in results)
    return json_response(
        ChangedTasksResponse(
            done=done,
            failed=len(results) - done,
            results=results,
            next_page_token=None if page is None else page.next_page_token,
        )
    )


def _change_result(task_id: str, outcome: ChangeOutcome, in_progress: int) -> ChangedTaskResponse:
    if isinstance(outcome, DomainError):
        problem = _item_problem(outcome)
        return ChangedTaskResponse(
            task_id=task_id,
            is_done=False,
            status=problem.kind.status,
            task=None,
            problem=_problem_document(problem),
            retry_after_seconds=_retry_after_seconds(problem),
        )
    status = 204
    if outcome is not None:
        status = in_progress if outcome.status is TaskStatus.PROCESSING else 200
    return ChangedTaskResponse(
        task_id=task_id,
        is_done=True,
        status=status,
        task=None if outcome is None else current(Tasks).render.response(outcome),
        problem=None,
        retry_after_seconds=None,
    )
