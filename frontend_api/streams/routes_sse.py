"""/v1/tasks/{id}/events: a task's changes as server-sent events."""

import json
from collections.abc import Iterator

from flask import Blueprint, Response, request

from frontend_api.http.current import current
from frontend_api.http.requests import authenticate, caller_id, checked_task_id, standing_permission
from frontend_api.openapi.operation import Answer, Operation, described
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.package import Streams
from frontend_api.streams.task_stream import Deleted, StreamItem, task_updates
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import Snapshot

blueprint = Blueprint("events", __name__, url_prefix="/v1/tasks/<task_id>/events")
blueprint.before_request(authenticate)

_HEARTBEAT = ":\n\n"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # otherwise nginx buffers events until its buffer is full
}


@blueprint.get("")
@described(
    Operation(
        id="streamTask",
        summary="Stream a task's changes",
        tag="tasks",
        request_headers={"Last-Event-ID": "The id of the last event that you have; it is not sent again."},
        answers={
            200: Answer(
                meaning="Events until the task has ended: `task`, with the task as `readTask` has it, or `deleted`.",
                media_type="text/event-stream",
            ),
            204: Answer(
                meaning="The task has ended and you have its last event: no EventSource asks again after this."
            ),
        },
        problems=("unauthenticated", "task_not_found", "too_many_waiting", "dependency_unavailable"),
    )
)
def stream(task_id: str) -> Response:
    """Stream the task's current state, then each change, until its terminal state."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    last_event_id = request.headers.get("Last-Event-ID")
    if task.status.is_terminal and current(Tasks).render(task).etag == last_event_id:
        return Response(status=204, headers=_HEADERS)
    subscription = current(Streams).subscriptions(task)
    connection = ClientConnection(request.environ)
    connection.limit_send_buffer()
    told = task_updates(
        subscription,
        connection,
        task,
        render=current(Tasks).render,
        heartbeat_seconds=current(Streams).heartbeat_seconds,
        is_permitted=standing_permission(),
        known_etag=last_event_id,
    )
    answer = Response(_events(told), content_type="text/event-stream", headers=_HEADERS)
    answer.call_on_close(subscription.close)  # a generator that is never started runs no `finally`
    return answer


def _events(told: Iterator[StreamItem]) -> Iterator[str]:
    for each in told:
        match each:
            case Snapshot():
                yield f"event: task\nid: {each.etag}\ndata: {each.json}\n\n"
            case Deleted():
                yield f"event: deleted\ndata: {json.dumps({'id': each.id})}\n\n"
            case WaitOutcome.TIMEOUT:
                yield _HEARTBEAT
