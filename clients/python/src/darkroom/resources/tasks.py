"""Calls for tasks. Following a task to its terminal state is in following.py."""

from darkroom.calls import Calls, path_of
from darkroom.models.estimate import Estimate
from darkroom.models.task import Task, TaskPage, TaskRef, TaskStatus, id_of
from darkroom.problem_errors import InvalidTransitionError, TaskNotFoundError
from darkroom.sansio import Flow, Tell, TellingFlow
from darkroom.submission import (
    SubmissionFields,
    checked_idempotency_key,
    new_idempotency_key,
    submission_body,
)


def submit(calls: Calls, prompt: str, fields: SubmissionFields, idempotency_key: str | None) -> Flow[Task]:
    """Submit a task.

    All attempts carry the same idempotency key, so that at most one task is created.
    """
    key = new_idempotency_key() if idempotency_key is None else checked_idempotency_key(idempotency_key)
    headers = {"Idempotency-Key": key}
    body = submission_body(prompt, fields)
    return calls.record(Task, calls.request("POST", path_of("tasks"), body=body, headers=headers))


def estimate(calls: Calls, prompt: str, fields: SubmissionFields) -> Flow[Estimate]:
    """Estimate a submission; nothing is stored."""
    body = submission_body(prompt, fields)
    return calls.record(Estimate, calls.request("POST", path_of("tasks:estimate"), body=body))


def get(calls: Calls, task: TaskRef) -> Flow[Task]:
    """Return the current task."""
    return calls.record(Task, calls.request("GET", path_of("tasks", id_of(task))))


def list_all(
    calls: Calls, *, status: TaskStatus | str | None, model: str | None, page_size: int
) -> TellingFlow[Task]:
    """Yield the caller's tasks, newest first. Pages are fetched lazily."""
    query = {"page_size": str(page_size)}
    query |= {name: value for name, value in (("status", status), ("model", model)) if value is not None}
    while True:
        page = yield from calls.record(TaskPage, calls.request("GET", path_of("tasks"), query=query))
        for task in page.tasks:
            yield Tell(task)
        if page.next_page_token is None:
            return
        query["page_token"] = page.next_page_token


def cancel(calls: Calls, task: TaskRef) -> Flow[Task]:
    """Cancel a task. A task in a terminal state is not changed."""
    return calls.record(Task, calls.request("POST", path_of("tasks", id_of(task), "cancel")))


def retry(calls: Calls, task: TaskRef) -> Flow[Task]:
    """Queue a failed or cancelled task again."""
    try:
        return (yield from calls.record(Task, calls.request("POST", path_of("tasks", id_of(task), "retry"))))
    except InvalidTransitionError as refused:
        if refused.attempts == 1:
            raise
        # An earlier attempt whose response was lost may have queued the task.
        now = yield from get(calls, task)
        if now.status.is_terminal:
            raise
        return now


def delete(calls: Calls, task: TaskRef) -> Flow[None]:
    """Delete a task and its images permanently."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("tasks", id_of(task))))
    except TaskNotFoundError as refused:
        if refused.attempts == 1:  # after a retry, an earlier attempt may have deleted it
            raise
