"""Operations on tasks. Waiting for a task and streaming its changes are in `task_stream.py`."""

from darkroom.calls import Calls, path_of
from darkroom.errors import InvalidTransitionError
from darkroom.models.estimate import Estimate
from darkroom.models.task import Task, TaskPage, TaskRef, TaskStatus, id_of
from darkroom.sansio import Operation, StreamingOperation
from darkroom.submission import SubmissionFields, idempotency_key_or_new, submission_body


def submit(
    calls: Calls, prompt: str, fields: SubmissionFields, idempotency_key: str | None
) -> Operation[Task]:
    """Submit a task.

    All attempts carry the same idempotency key, so that at most one task is created.
    """
    headers = {"Idempotency-Key": idempotency_key_or_new(idempotency_key)}
    body = submission_body(prompt, fields)
    return calls.fetch(Task, calls.request("POST", path_of("tasks"), body=body, headers=headers))


def estimate(calls: Calls, prompt: str, fields: SubmissionFields) -> Operation[Estimate]:
    body = submission_body(prompt, fields)
    return calls.fetch(Estimate, calls.request("POST", "/v1/tasks:estimate", body=body))


def get(calls: Calls, task: TaskRef) -> Operation[Task]:
    return calls.fetch(Task, calls.request("GET", path_of("tasks", id_of(task))))


def list_all(
    calls: Calls, *, status: TaskStatus | str | None, model: str | None, page_size: int
) -> StreamingOperation[Task]:
    filters = {"page_size": page_size, "status": status, "model": model}
    query = {name: str(value) for name, value in filters.items() if value is not None}
    return calls.fetch_all(TaskPage, path_of("tasks"), query)


def cancel(calls: Calls, task: TaskRef) -> Operation[Task]:
    return calls.fetch(Task, calls.request("POST", path_of("tasks", id_of(task), "cancel")))


def retry(calls: Calls, task: TaskRef) -> Operation[Task]:
    try:
        return (yield from calls.fetch(Task, calls.request("POST", path_of("tasks", id_of(task), "retry"))))
    except InvalidTransitionError as error:
        if error.attempts == 1:
            raise
        # An earlier attempt whose response was lost may have queued the task.
        current = yield from get(calls, task)
        if current.status.is_terminal:
            raise
        return current


def delete(calls: Calls, task: TaskRef) -> Operation[None]:
    return calls.delete(path_of("tasks", id_of(task)))
