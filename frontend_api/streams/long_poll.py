"""Long polling: how a route waits for a change of a task, for as long as the caller requests
(`Prefer: wait=N`).
"""

import time

from flask import Response, request

from common.domain.errors import TaskNotFoundError
from common.domain.task import Task
from frontend_api.dependencies import wired
from frontend_api.http.prefer_header import wait_seconds
from frontend_api.http.responses import task_answer
from frontend_api.streams.connection import ClientConnection, Heard
from frontend_api.streams.ports import Sighting
from frontend_api.streams.subscriptions import Follower

PREFER = {
    "Prefer": "`wait=N` holds the answer for up to N seconds, 60 at most (RFC 7240); `wait` alone asks for all of them."
}
PREFERENCE_APPLIED = {"Preference-Applied": "`wait=N`, when the caller preferred to wait."}


def preferred_wait() -> int | None:
    """Return the number of seconds that the caller wants to wait; None for no wait."""
    return wait_seconds(request.headers.get("Prefer"))


def applied(answer: Response, seconds: int | None) -> Response:
    """Add the header that reports the applied wait."""
    if seconds is not None:
        answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


def awaited_end(follower: Follower, task: Task, seconds: float) -> Task:
    """Return the task in its terminal state, or its current state after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    follower.follow(task)
    while not task.status.is_terminal:
        changed = _next_state(follower, task, until)
        if changed is None:
            break
        task = changed
    return task


def awaited_change(follower: Follower, known: Response, task: Task, seconds: float) -> Response:
    """Return the first answer that differs from `known`, or `known` after the timeout.

    Raises TaskNotFoundError.
    """
    until = time.monotonic() + seconds
    follower.follow(task)
    while (changed := _next_state(follower, task, until)) is not None:
        answer = task_answer(changed)
        if answer.get_etag() != known.get_etag():
            return answer
    return known


def _next_state(follower: Follower, task: Task, until: float) -> Task | None:
    with wired().request_gate.stepped_out():
        heard = ClientConnection(request.environ).wait(follower, until - time.monotonic())
    return existing(follower.take(), task.id) if heard is Heard.NEWS else None


def existing(sighting: Sighting | None, task_id: str) -> Task | None:
    """Return the task of a sighting, if there is one.

    Raises TaskNotFoundError when the task was deleted.
    """
    if sighting is not None and sighting.task is None:
        raise TaskNotFoundError(task_id)
    return None if sighting is None else sighting.task
