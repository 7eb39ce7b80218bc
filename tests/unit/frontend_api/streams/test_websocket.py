"""GET /v1/tasks/{id}/ws: a task's changes over a WebSocket. The tests play the caller."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.streams import websocket
from tests.unit.frontend_api.conftest import PROJECT, Api

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The value in RFC 6455 for that key."""


class Caller:
    """A socket to a task, with the server's side on a thread."""

    def __init__(self, api: Api, task_id: str, **headers: str) -> None:
        self.server, self.end = socket.socketpair()
        self.end.settimeout(20)
        self.wire = Connection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer: TestResponse = api.client.get(
            f"/v1/tasks/{task_id}/ws",
            headers={**HANDSHAKE, **named},
            environ_overrides={"gunicorn.socket": self.server},
        )
        self._pool = ThreadPoolExecutor(1)
        self.conversation = self._pool.submit(self._converse)

    def _converse(self) -> None:
        if self.answer.status_code != 101:
            return
        for chunk in self.answer.iter_encoded():
            assert chunk == b""  # the frames bypass the server's own framing
        self.answer.close()

    def next(self) -> Event:
        while not self._events:
            self.wire.receive_data(self.end.recv(1 << 20) or None)
            self._events += self.wire.events()
        return self._events.pop(0)

    def task(self) -> dict[str, Any]:
        text, event = "", self.next()
        while isinstance(event, TextMessage):
            text += event.data
            if event.message_finished:
                body: dict[str, Any] = json.loads(text)
                return body
            event = self.next()
        raise AssertionError(f"not a message: {event}")

    def farewell(self) -> int:
        event = self.next()
        assert isinstance(event, CloseConnection)
        self.say(event.response())
        self.conversation.result(60)
        return int(event.code)

    def say(self, event: Event) -> None:
        self.end.sendall(self.wire.send(event))

    def close(self) -> None:
        self.end.close()
        self.conversation.result(60)
        self.server.close()
        self._pool.shutdown()


def test_socket_sends_the_task_then_each_change_until_the_end(api: Api) -> None:
    task = api.stored_task()
    caller = Caller(api, task.id)
    assert caller.answer.status_code == 101
    assert caller.answer.headers["Upgrade"] == "websocket"
    assert caller.answer.headers["Sec-WebSocket-Accept"] == ACCEPT
    assert "Sec-WebSocket-Protocol" not in caller.answer.headers
    assert caller.task()["status"] == "queued"
    api.claim(task)
    assert caller.task()["status"] == "processing"
    api.complete(task)
    assert caller.task() == api.client.get(f"/v1/tasks/{task.id}").get_json()
    assert caller.farewell() == 1000
    assert api.changes.subscribers == 0
    caller.close()


def test_slow_reader_gets_the_newest_state_and_no_backlog(api: Api) -> None:
    task = api.claimed_task()
    caller = Caller(api, task.id)
    caller.task()
    for _ in range(2_000):  # several megabytes
        api.store.update(
            task.id, lambda t: replace(t, progress=replace(t.progress, step=t.progress.step + 1))
        )
    steps = [caller.task()["progress"]["step"]]
    while steps[-1] < 2_000:
        steps.append(caller.task()["progress"]["step"])
    assert steps == sorted(steps)
    assert len(steps) < 500
    caller.close()


def test_socket_reports_the_deletion_of_the_task(api: Api) -> None:
    task = api.stored_task()
    caller = Caller(api, task.id)
    caller.task()
    api.store.delete(task.id, now=api.clock.now())
    assert caller.farewell() == 4404
    caller.close()


def test_socket_closes_with_going_away_when_the_process_stops(api: Api) -> None:
    caller = Caller(api, api.stored_task().id)
    caller.task()
    api.subscriptions.shut_down()
    assert caller.farewell() == 1001
    caller.close()


@pytest.mark.parametrize(
    "credentials",
    [{"X_API_Key": "{}"}, {"Sec_WebSocket_Protocol": "bearer.{}"}],
    ids=["header", "subprotocol"],
)
def test_socket_closes_when_the_api_key_is_revoked(tmp_path: Path, credentials: dict[str, str]) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=1)
    body = {"name": "watcher", "scopes": ["read"]}
    key = api.client.post("/v1/keys", json=body).get_json()
    headers = {name: value.format(key["key"]) for name, value in credentials.items()}
    caller = Caller(api, api.stored_task().id, **headers)
    caller.task()
    ping = caller.next()
    assert isinstance(ping, Ping)
    caller.say(ping.response())
    api.client.delete(f"/v1/keys/{key['id']}")
    while isinstance(event := caller.next(), Ping):
        caller.say(event.response())
    assert isinstance(event, CloseConnection)
    assert event.code == 4401
    caller.close()


def test_socket_closes_when_pings_are_not_answered(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, heartbeat_seconds=1)
    caller = Caller(api, api.stored_task().id)
    caller.task()
    for _ in range(2):
        ping = caller.next()
        assert isinstance(ping, Ping)
        caller.say(ping.response())
    assert isinstance(caller.next(), Ping)
    assert caller.farewell() == 1011
    assert api.changes.subscribers == 0
    caller.close()


def test_socket_answers_pings_and_close_frames_and_ignores_messages(api: Api) -> None:
    task = api.stored_task()
    caller = Caller(api, task.id)
    caller.task()
    for _ in range(4):
        caller.say(TextMessage(data="words" * 2_000))
    caller.say(Ping(payload=b"there?"))
    pong = caller.next()
    assert isinstance(pong, Pong)
    assert pong.payload == b"there?"
    api.claim(task)
    assert caller.task()["status"] == "processing"
    caller.say(CloseConnection(code=1000))
    assert isinstance(caller.next(), CloseConnection)
    caller.conversation.result(60)
    assert api.changes.subscribers == 0
    caller.close()


@pytest.mark.parametrize("frame", [Ping(payload=b"?" * 100), TextMessage(data="words" * 2_000)])
def test_socket_closes_when_the_caller_sends_without_end(api: Api, frame: Event) -> None:
    caller = Caller(api, api.stored_task().id)
    caller.task()
    event: Event = Pong()
    sent = 0
    while isinstance(event, Pong) and sent < 200_000:
        data = caller.wire.send(frame) + caller.wire.send(Ping(payload=b"last"))
        caller.end.sendall(data)
        sent += len(data)
        while isinstance(event := caller.next(), Pong) and event.payload != b"last":
            pass
    assert isinstance(event, CloseConnection)
    assert event.code == 1008
    caller.say(event.response())
    caller.close()


def test_socket_reads_nothing_after_the_time_for_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_CLOSE_SECONDS", 0.0)
    server, caller = socket.socketpair()
    with server, caller:
        caller.sendall(b"data without end")
        websocket.WebSocket(server).close(CloseReason.NORMAL_CLOSURE)
        assert server.recv(100, socket.MSG_DONTWAIT) == b"data without end"


def test_socket_closes_on_an_invalid_frame(api: Api) -> None:
    caller = Caller(api, api.stored_task().id)
    caller.task()
    caller.end.sendall(b"GET / HTTP/1.1\r\n\r\n")
    event = caller.next()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002
    caller.conversation.result(60)
    caller.close()


def test_socket_releases_its_subscription_when_the_caller_disconnects(api: Api) -> None:
    task = api.stored_task()
    for _ in range(api.max_waiting + 1):
        caller = Caller(api, task.id)
        caller.task()
        caller.close()
    assert api.changes.subscribers == 0


def test_socket_is_refused_when_too_many_callers_wait(api: Api) -> None:
    task = api.stored_task()
    callers = [Caller(api, task.id) for _ in range(api.max_waiting)]
    for task_id in (task.id, "unknown"):
        refused = Caller(api, task_id).answer
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting"), "reads no task"
    for caller in callers:
        caller.close()


@pytest.mark.parametrize(
    "missing", [{"Upgrade": "h2c"}, {"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Key": None}], ids=str
)
def test_socket_is_refused_without_a_valid_handshake(api: Api, missing: dict[str, str | None]) -> None:
    task = api.stored_task()
    headers = {name: value for name, value in {**HANDSHAKE, **missing}.items() if value is not None}
    server, end = socket.socketpair()
    with server, end:
        answer = api.client.get(
            f"/v1/tasks/{task.id}/ws", headers=headers, environ_overrides={"gunicorn.socket": server}
        )
    assert (answer.status_code, answer.get_json()["code"]) == (426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert api.changes.subscribers == 0


def test_socket_is_refused_when_the_server_provides_no_connection(api: Api) -> None:
    answer = api.client.get(f"/v1/tasks/{api.stored_task().id}/ws", headers=HANDSHAKE)
    assert (answer.status_code, answer.get_json()["code"]) == (426, "upgrade_required")


def test_socket_accepts_a_token_among_the_subprotocols(api: Api) -> None:
    task = api.stored_task(user_id="ada")
    token = unsigned_token("ada", project_id=PROJECT)
    caller = Caller(api, task.id, Sec_WebSocket_Protocol=f"darkroom, bearer.{token}")
    assert caller.answer.headers["Sec-WebSocket-Protocol"] == "darkroom"
    assert caller.task()["id"] == task.id
    caller.close()
    foreign = unsigned_token("eve", project_id=PROJECT)
    for protocols, status in (
        (f"darkroom, bearer.{foreign}", 404),
        ("darkroom, bearer.nonsense", 401),
        (f"darkroom, bearer.{token}, bearer.nonsense", 401),
    ):
        headers = {**HANDSHAKE, "Sec-WebSocket-Protocol": protocols}
        assert api.client.get(f"/v1/tasks/{task.id}/ws", headers=headers).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_socket_is_refused_to_a_page_of_another_origin(api: Api, headers: dict[str, str]) -> None:
    # Unlike a response to fetch, a browser lets any page read WebSocket messages.
    task = api.stored_task()
    caller = Caller(api, task.id, **headers)
    assert (caller.answer.status_code, caller.answer.get_json()["code"]) == (403, "foreign_origin")
    own = Caller(api, task.id, Origin="http://localhost")
    assert own.task()["id"] == task.id
    own.close()
