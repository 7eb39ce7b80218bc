"""/v1/results/{id}: for callers who poll for the result."""

from flask import Blueprint, Response

from frontend_api.http.current import current
from frontend_api.http.requests import authenticate, caller_id, checked_task_id
from frontend_api.openapi.operation import Answer, Operation, described
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import TaskResponse
from frontend_api.tasks.routes import task_answer

blueprint = Blueprint("results", __name__, url_prefix="/v1/results")
blueprint.before_request(authenticate)

_POLL_AFTER_SECONDS = 1


@blueprint.get("/<task_id>")
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
def read(task_id: str) -> Response:
    """Return 202 while the task is queued or processing, 200 once it is in a terminal state."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    if task.status.is_terminal:
        return task_answer(task)
    return task_answer(task, 202, Retry_After=str(_POLL_AFTER_SECONDS))
