"""Long polling: how a route waits for a change of a task, for as long as the caller requests
(`Prefer: wait=N`).
"""

import time
from collections.abc import Callable

from flask import Response, request

from common.domain.errors import TaskNotFoundError
from common.domain.task import Task
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.current import current
from frontend_api.http.prefer_header import wait_seconds
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.ports import TaskSnapshot
from frontend_api.streams.subscriptions import Subscription

PREFER = {
    "Prefer": "`wait=N` waits up to N seconds for a change before the response (RFC 7240), at most 60. `wait` means 60."
}
PREFERENCE_APPLIED = {"Preference-Applied": "`wait=N`, if the caller sent `Prefer: wait`."}


def preferred_wait() -> int | None:
    """Return the number of seconds that the caller wants to wait; None for no wait."""
    return wait_seconds(request.headers.get("Prefer"))


def applied(answer: Response, seconds: int | None) -> Response:
    """Add the header that reports the applied wait."""
    if seconds is not None:
        answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


def awaited_end(subscription: Subscription, task: Task, seconds: float) -> Task:
    """Return the task in its terminal state, or its current state after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    subscription.follow(task)
    while not task.status.is_terminal:
        changed = _next_state(subscription, task, until)
        if changed is None:
            break
        task = changed
    return task


def awaited_change(
    subscription: Subscription,
    known: Response,
    task: Task,
    seconds: float,
    *,
    answer_for: Callable[[Task], Response],
) -> Response:
    """Return the first answer that differs from `known`, or `known` after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    subscription.follow(task)
    while (changed := _next_state(subscription, task, until)) is not None:
        answer = answer_for(changed)
        if answer.get_etag() != known.get_etag():
            return answer
    return known


def _next_state(subscription: Subscription, task: Task, until: float) -> Task | None:
    with current(ConcurrencyLimiter).released():
        outcome = ClientConnection(request.environ).wait(subscription, until - time.monotonic())
    return existing(subscription.take(), task.id) if outcome is WaitOutcome.CHANGED else None


def existing(snapshot: TaskSnapshot | None, task_id: str) -> Task | None:
    """Return the task of a snapshot, if there is one.

    Raises TaskNotFoundError when the task was deleted.
    """
    if snapshot is not None and snapshot.task is None:
        raise TaskNotFoundError(task_id)
    return None if snapshot is None else snapshot.task
