"""Long polling: wait for a change of a task as long as the caller requests (`Prefer: wait=N`)."""

import re
import time
from collections.abc import Callable

from flask import Response, request

from common.domain.errors import TaskNotFoundError
from common.domain.task import Task
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.requests import current
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.subscriptions import Subscription

MAX_WAIT_SECONDS = 55
"""Most proxies close a silent connection after 60 seconds."""
_WAIT = re.compile(r'wait(?:\s*=\s*"?(\d{1,9})"?)?', re.IGNORECASE)
PREFER = {
    "Prefer": "`wait=N` holds the response for at most N seconds, up to 55 (RFC 7240): a submission until the task "
    "has finished, a read until it changes. `wait` means 55."
}
PREFERENCE_APPLIED = {"Preference-Applied": "`wait=N`, if the caller sent `Prefer: wait`."}


def wait_seconds(prefer: str | None) -> int | None:
    """Return how long the caller wants to wait, at most MAX_WAIT_SECONDS; None for no wait.

    `wait` without a value means MAX_WAIT_SECONDS. The first `wait` counts, as RFC 7240 requires; an
    invalid one is ignored.
    """
    for preference in (prefer or "").split(","):
        name_and_value = preference.partition(";")[0].strip()
        if re.match(r"wait\b(?![-\w])", name_and_value, re.IGNORECASE):
            found = _WAIT.fullmatch(name_and_value)
            if found is None:
                return None
            asked = MAX_WAIT_SECONDS if found[1] is None else int(found[1])
            return min(asked, MAX_WAIT_SECONDS) or None
    return None


def preferred_wait() -> int | None:
    return wait_seconds(request.headers.get("Prefer"))


def with_applied_wait(response: Response, seconds: int | None) -> Response:
    if seconds is not None:
        response.headers["Preference-Applied"] = f"wait={seconds}"
    return response


def wait_until_finished(subscription: Subscription, task: Task, seconds: float) -> Task:
    """Return the task in its terminal state, or its current state after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    subscription.start(task)
    while not task.status.is_terminal and (changed := _next_state(subscription, task, until)) is not None:
        task = changed
    return task


def wait_for_change(
    subscription: Subscription,
    known: Response,
    task: Task,
    seconds: float,
    *,
    respond: Callable[[Task], Response],
) -> Response:
    """Return the first response that differs from `known`, or `known` after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    subscription.start(task)
    while (changed := _next_state(subscription, task, until)) is not None:
        response = respond(changed)
        if response.get_etag() != known.get_etag():
            return response
    return known


def _next_state(subscription: Subscription, task: Task, until: float) -> Task | None:
    with current(ConcurrencyLimiter).released():
        outcome = ClientConnection(request.environ).wait(subscription, until - time.monotonic())
    snapshot = subscription.take() if outcome is WaitOutcome.CHANGED else None
    if snapshot is not None and snapshot.task is None:
        raise TaskNotFoundError(task.id)
    return None if snapshot is None else snapshot.task
