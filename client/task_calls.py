"""What may be done with tasks, one flow each. Following a task to its end is in following.py."""

from typing import TypeAlias

from client.calls import Calls, path_of
from client.estimate import Estimate
from client.flow import Flow, Tell, TellingFlow
from client.problem_errors import InvalidTransitionError, TaskNotFoundError
from client.submission import SubmissionFields, checked_idempotency_key, new_idempotency_key, submission_body
from client.task import Task, TaskPage, TaskStatus

TaskRef: TypeAlias = Task | str
"""A task, or its id."""


def id_of(task: TaskRef) -> str:
    """The id of whatever names a task."""
    return task if isinstance(task, str) else task.id


def submit(calls: Calls, prompt: str, fields: SubmissionFields, idempotency_key: str | None) -> Flow[Task]:
    """Submit, however often it takes: every try carries the same key, so there is one task at most."""
    key = new_idempotency_key() if idempotency_key is None else checked_idempotency_key(idempotency_key)
    headers = {"Idempotency-Key": key}
    body = submission_body(prompt, fields)
    return calls.record(Task, calls.request("POST", path_of("tasks"), body=body, headers=headers))


def estimate(calls: Calls, prompt: str, fields: SubmissionFields) -> Flow[Estimate]:
    """What would become of a submission; nothing is stored."""
    body = submission_body(prompt, fields)
    return calls.record(Estimate, calls.request("POST", path_of("tasks:estimate"), body=body))


def get(calls: Calls, task: TaskRef) -> Flow[Task]:
    """How the task stands now."""
    return calls.record(Task, calls.request("GET", path_of("tasks", id_of(task))))


def list_all(
    calls: Calls, *, status: TaskStatus | str | None, model: str | None, page_size: int
) -> TellingFlow[Task]:
    """Tell the caller's tasks, newest first; the next page is asked for when it is reached."""
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
    """Cancel; a task that has ended stays as it is."""
    return calls.record(Task, calls.request("POST", path_of("tasks", id_of(task), "cancel")))


def retry(calls: Calls, task: TaskRef) -> Flow[Task]:
    """Queue a failed or cancelled task anew."""
    try:
        return (yield from calls.record(Task, calls.request("POST", path_of("tasks", id_of(task), "retry"))))
    except InvalidTransitionError as refused:
        if refused.attempts == 1:
            raise
        # An earlier try may have done it although its answer never came.
        now = yield from get(calls, task)
        if now.status.is_terminal:
            raise
        return now


def delete(calls: Calls, task: TaskRef) -> Flow[None]:
    """Delete a task and its images, for good."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("tasks", id_of(task))))
    except TaskNotFoundError as refused:
        if refused.attempts == 1:  # else an earlier try did it
            raise
