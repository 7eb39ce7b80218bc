"""Changes of tasks: /v1/tasks/{id}/events and /v1/tasks:events as server-sent events, /v1/tasks/{id}/ws
over a WebSocket.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from pydantic import Field
from werkzeug.wsgi import ClosingIterator
from wsproto.frame_protocol import CloseReason

from common.domain.task import Task
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.requests import (
    authenticate,
    authenticate_by,
    caller_id,
    checked_task_id,
    current,
    permission_check,
    query,
)
from frontend_api.http.responses import UNBUFFERED
from frontend_api.http.schemas import QueryParameters
from frontend_api.identity.ports import Identity, NotAuthenticatedError
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.list_stream import Complete, ListItem, Removed, list_updates
from frontend_api.streams.package import Streams
from frontend_api.streams.slots import reserve_subscription
from frontend_api.streams.subscriptions import Subscription
from frontend_api.streams.task_stream import HEARTBEAT, Deleted, PermissionRevoked, StreamItem, task_updates
from frontend_api.streams.websocket import VERSION, WebSocket, accept_token
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.rendering import Snapshot

events = Blueprint("events", __name__, url_prefix="/v1/tasks/<task_id>/events")
events.before_request(authenticate)
doc = ApiDoc(tag="tasks")


@events.get("")
@doc(
    "streamTask",
    {
        200: ResponseDoc(
            "Events until the task is in a terminal state: `task`, with the body of `readTask`, or `deleted`.",
            media_type="text/event-stream",
        ),
        204: ResponseDoc(
            "The task is in a terminal state and its last event was received; an EventSource stops."
        ),
    },
    problems=("task_not_found", "too_many_waiting"),
    headers={"Last-Event-ID": "The id of the last received event, which is not sent again."},
)
def stream(task_id: str) -> Response:
    """Stream a task's changes."""
    last_event_id = request.headers.get("Last-Event-ID")
    subscription = reserve_subscription()  # before the task is read: a refusal must cost little
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    if task.status.is_terminal and current(Tasks).render(task).etag == last_event_id:
        return Response(status=204, headers=UNBUFFERED)
    connection = ClientConnection(request.environ)
    updates = _updates(subscription, connection, task, known_etag=last_event_id)
    return Response(_events(updates), content_type="text/event-stream", headers=UNBUFFERED)


def _updates(
    subscription: Subscription, connection: ClientConnection, task: Task, **options: Any
) -> Iterator[StreamItem]:
    """Start the subscription; return the task's updates. The options are those of `task_updates`."""
    subscription.start(task)
    connection.limit_send_buffer()
    return task_updates(
        subscription,
        connection,
        task,
        render=current(Tasks).render,
        heartbeat_seconds=current(Streams).heartbeat_seconds,
        is_permitted=permission_check(),
        **options,
    )


def _events(updates: Iterator[StreamItem]) -> Iterator[str]:
    for update in updates:
        match update:
            case Snapshot():
                yield f"event: task\nid: {update.etag}\ndata: {update.json}\n\n"
            case Deleted():
                yield f"event: deleted\ndata: {json.dumps({'id': update.id})}\n\n"
            case WaitOutcome.TIMEOUT:
                yield HEARTBEAT


_LIST_PAUSE_SECONDS = 0.25
"""Each change of a list costs a comparison of up to 1,000 tasks."""
lists = Blueprint("list_events", __name__, url_prefix="/v1/tasks:events")
lists.before_request(authenticate)


class TaskListEventsQuery(QueryParameters):
    """Selects the tasks of the stream."""

    count: int = Field(default=50, ge=1, le=1_000, description="The number of tasks, the newest ones.")


@lists.get("")
@doc(
    "streamTasks",
    {
        200: ResponseDoc(
            "Endless events: `task` with a task as `listTasks` returns it, for each task and after each change; "
            "`complete` once all tasks of the list were sent; `removed` for a task that was deleted or displaced.",
            media_type="text/event-stream",
        )
    },
    problems=("too_many_waiting",),
    query=TaskListEventsQuery,
)
def stream_list() -> Response:
    """Stream the changes of your newest tasks."""
    count = query(TaskListEventsQuery).count
    subscription = reserve_subscription(for_list=True)
    subscription.start_list(caller_id(), count)
    connection = ClientConnection(request.environ, pause_seconds=_LIST_PAUSE_SECONDS)
    connection.limit_send_buffer()
    updates = list_updates(
        subscription,
        connection,
        snapshots=current(Streams).listed_snapshots,
        heartbeat_seconds=current(Streams).heartbeat_seconds,
        is_permitted=permission_check(),
    )
    count_listed = partial(current(Identity).request_rate.count_listed, caller_id())
    return Response(_list_events(updates, count_listed), content_type="text/event-stream", headers=UNBUFFERED)


def _list_events(updates: Iterator[ListItem], count_listed: Callable[..., None]) -> Iterator[str]:
    yield HEARTBEAT  # the response's head must not wait for the list
    listed, is_complete = 0, False
    for update in updates:
        match update:
            case Snapshot():
                if not is_complete:
                    count_listed(listed + 1, counted=listed)  # a caller may close the stream early
                    listed += 1
                yield f"event: task\nid: {update.etag}\ndata: {update.json}\n\n"
            case Removed():
                yield f"event: removed\ndata: {json.dumps({'id': update.id})}\n\n"
            case Complete():
                is_complete = True
                yield "event: complete\ndata: {}\n\n"
            case WaitOutcome.TIMEOUT:
                yield HEARTBEAT


sockets = Blueprint("sockets", __name__, url_prefix="/v1/tasks/<task_id>/ws")

SUBPROTOCOL = "darkroom"
_TOKEN = "bearer."  # noqa: S105 (a prefix)
_PERMISSION_REVOKED, _TASK_DELETED = 4401, 4404
"""Close codes from the range that RFC 6455 leaves to applications."""


@sockets.before_request
def authenticate_socket() -> None:
    """Authenticate by header or, for browsers, by a token among the subprotocols."""
    headers = dict(request.headers)
    for protocol in _offered_protocols():
        if protocol.startswith(_TOKEN):
            if "Authorization" in headers:
                raise NotAuthenticatedError("send one token: in Authorization, or as a subprotocol")
            headers["Authorization"] = f"Bearer {protocol.removeprefix(_TOKEN)}"
    authenticate_by(headers)


@sockets.get("")
@sockets.get("", websocket=True)  # without it Werkzeug rejects handshakes, with it alone all other requests
@doc(
    "connectToTask",
    {101: ResponseDoc("Messages with the body of `readTask`, until the task is in a terminal state.")},
    problems=("foreign_origin", "task_not_found", "upgrade_required", "too_many_waiting"),
    headers={"Sec-WebSocket-Protocol": "`darkroom`, and for browsers `bearer.` followed by the token."},
)
def connect(task_id: str) -> Response:
    """Stream a task's changes over a WebSocket."""
    subscription = reserve_subscription()
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    connection = ClientConnection(request.environ)
    headers = _handshake()
    if connection.socket is None or headers is None:
        raise RequestRefusedError(_upgrade_required())
    updates = _updates(subscription, connection, task, accepts_data=True)
    return _Upgraded(
        _messages(connection, WebSocket(connection.socket), updates), status=101, headers=headers
    )


class _Upgraded(Response):
    """A response with status 101 whose body uses the raw connection.

    Werkzeug and gunicorn treat 101 as having no body. gunicorn sends the head with the first chunk.
    """

    default_mimetype = None

    def get_app_iter(self, environ: Any) -> Iterable[bytes]:
        messages: Iterable[Any] = self.response
        return ClosingIterator(messages, self.close)


def _messages(
    connection: ClientConnection, socket: WebSocket, updates: Iterator[StreamItem]
) -> Iterator[bytes]:
    yield b""
    with suppress(OSError):  # the caller disconnected without a close frame
        for update in updates:
            match update:
                case Snapshot():
                    socket.send(update.json)
                case Deleted():
                    socket.close(_TASK_DELETED, "the task was deleted")
                case PermissionRevoked():
                    socket.close(_PERMISSION_REVOKED, "the API key is no longer valid")
                case WaitOutcome.CLIENT_DATA:
                    socket.receive()
                case WaitOutcome.TIMEOUT if not socket.ping():
                    socket.close(CloseReason.INTERNAL_ERROR, "the client does not answer pings")
                case WaitOutcome.SHUTTING_DOWN:
                    socket.close(CloseReason.GOING_AWAY, "the server is shutting down; reconnect")
            if not socket.is_open:
                break
        socket.close(CloseReason.NORMAL_CLOSURE, "the task is in a terminal state")
    connection.close()


def _handshake() -> dict[str, str] | None:
    """Return the headers that accept the handshake.

    None when the request is no handshake, or of another version.
    """
    key = request.headers.get("Sec-WebSocket-Key")
    wants = request.headers.get("Upgrade", "").lower() == "websocket"
    if key is None or not wants or request.headers.get("Sec-WebSocket-Version") != VERSION:
        return None
    accepted = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_token(key)}
    if SUBPROTOCOL in _offered_protocols():
        accepted["Sec-WebSocket-Protocol"] = SUBPROTOCOL
    return accepted


def _offered_protocols() -> list[str]:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return [protocol.strip() for protocol in offered.split(",")]


def _upgrade_required() -> Problem:
    return Problem(
        code="upgrade_required",
        detail=f"this endpoint requires a WebSocket handshake of version {VERSION} over HTTP/1.1",
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": VERSION},
    )
