"""Operations on tasks. Waiting for a task and streaming its changes are in `task_stream.py`."""

from collections.abc import Mapping
from datetime import datetime

from typing_extensions import TypedDict

from darkroom.calls import Calls, path_of, read_as, timestamp_of
from darkroom.errors import ClientError, InvalidTransitionError
from darkroom.models.estimate import Estimate
from darkroom.models.task import Task, TaskPage, TaskRef, TaskStatus, id_of
from darkroom.resources.inputs import with_ids
from darkroom.sansio import Operation, StreamingOperation
from darkroom.submission import SubmissionFields, idempotency_key_or_new, submission_body


def submit(
    calls: Calls, prompt: str, fields: SubmissionFields, idempotency_key: str | None
) -> Operation[Task]:
    """Submit a task, after its pictures.

    All attempts carry the same idempotency key, so that at most one task is created. Errors have it.
    """
    key = idempotency_key_or_new(idempotency_key)
    try:
        body = submission_body(prompt, (yield from with_ids(calls, fields)))
        request = calls.request("POST", path_of("tasks"), body=body, headers={"Idempotency-Key": key})
        return (yield from calls.fetch(Task, request))
    except ClientError as error:
        error.idempotency_key = key
        raise


def estimate(calls: Calls, prompt: str, fields: SubmissionFields) -> Operation[Estimate]:
    body = submission_body(prompt, (yield from with_ids(calls, fields)))
    return (yield from calls.fetch(Estimate, calls.request("POST", "/v1/tasks:estimate", body=body)))


def get(calls: Calls, task: TaskRef) -> Operation[Task]:
    return calls.fetch(Task, calls.request("GET", path_of("tasks", id_of(task))))


class TaskFilters(TypedDict, total=False):
    """Select tasks of a list; omitted filters and None select all.

    Times without an offset are local times.
    """

    status: TaskStatus | str | None
    model: str | None
    label: str | None
    """`name=value`."""
    created_after: datetime | None
    """Selects tasks created at this time or later."""
    created_before: datetime | None


def list_all(calls: Calls, filters: TaskFilters, page_size: int) -> StreamingOperation[Task]:
    given = {"page_size": page_size, **filters}
    query = {name: query_value(value) for name, value in given.items() if value is not None}
    return calls.fetch_all(TaskPage, path_of("tasks"), query)


def query_value(value: object) -> str:
    return timestamp_of(value) if isinstance(value, datetime) else str(value)


def cancel(calls: Calls, task: TaskRef) -> Operation[Task]:
    return calls.fetch(Task, calls.request("POST", path_of("tasks", id_of(task), "cancel")))


def retry(calls: Calls, task: TaskRef) -> Operation[Task]:
    request = calls.request("POST", path_of("tasks", id_of(task), "retry"))
    try:
        response, _ = yield from calls.send_tracked(request, may_fail_midway=True)
        return read_as(Task, response)
    except InvalidTransitionError as error:
        if not error.outcome_is_unknown:
            raise
        # An earlier attempt may have queued the task.
        current = yield from get(calls, task)
        if current.status.is_terminal:
            raise
        return current


def label(calls: Calls, task: TaskRef, labels: Mapping[str, str | None]) -> Operation[Task]:
    path = path_of("tasks", id_of(task), "labels")
    return calls.fetch(Task, calls.request("POST", path, body={"labels": labels}))


def delete(calls: Calls, task: TaskRef) -> Operation[None]:
    return calls.delete(path_of("tasks", id_of(task)))
