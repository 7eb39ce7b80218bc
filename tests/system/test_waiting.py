"""Waiting for a task's changes through the API in its production setup.

There is no worker; the tests act as the worker.
"""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.server_sent_events import ServerSentEvent, events_of

pytestmark = pytest.mark.end_to_end
PROMPT = {"prompt": "a large blue square"}
LONG = {"Prefer": "wait=60"}
LOOPBACK = "127.0.0.1"
PLACES = 4
PATIENCE_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class Api:
    """A running API, its store, and threads for waiting."""

    stack: LocalStack
    http: httpx.Client
    store: FirestoreTaskStore
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))

    def submit(self) -> tuple[str, str]:
        """Create a task, and return its id and its ETag."""
        answer = self.http.post("/v1/tasks", json=PROMPT).raise_for_status()
        return answer.json()["id"], answer.headers["ETag"]

    def opened(self, task_id: str, exits: ExitStack) -> Iterator[ServerSentEvent]:
        """Return the events after the first one of a stream. `exits` closes the stream."""
        path = f"/v1/tasks/{task_id}/events"
        while (answer := exits.enter_context(self.http.stream("GET", path))).status_code == 429:
            continue  # a caller of an earlier test still has a slot
        events = events_of(answer.iter_text())
        assert status_of(next(events)) == "queued"
        return events

    def opened_socket(self, task_id: str, exits: ExitStack) -> ClientConnection:
        """Return a WebSocket after its first message. `exits` closes it."""
        while True:
            try:
                caller = exits.enter_context(connect(self.socket_url(task_id)))
            except InvalidStatus as refusal:
                if refusal.response.status_code != 429:
                    raise
            else:
                assert json.loads(caller.recv(PATIENCE_SECONDS))["status"] == "queued"
                return caller

    def socket_url(self, task_id: str) -> str:
        return f"ws://localhost:{self.stack.ports['api']}/v1/tasks/{task_id}/ws"

    def probe(self, task_id: str) -> int:
        """Return 429 while no slot is free."""
        return self.http.get(f"/v1/tasks/{task_id}", headers={"Prefer": "wait=1"}).status_code

    def wait_until_full(self, task_id: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.probe(task_id) != 429:
            assert time.monotonic() < deadline, "places are left"

    def wait_until_free(self, task_id: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.probe(task_id) == 429:
            assert time.monotonic() < deadline, "no place is left"

    def claim(self, task_id: str) -> Task:
        def claimed(task: Task) -> Task:
            return task.claimed_by("worker-1", datetime.now(UTC), timedelta(seconds=60))

        return self.store.update(task_id, claimed)


def status_of(event: ServerSentEvent) -> str:
    assert event.event == "task"
    return str(json.loads(event.data or "")["status"])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = StackSettings(
        data_directory=tmp_path_factory.mktemp("waiting"),
        workers=0,
        extra_environment={"DARKROOM_MAX_WAITING": str(PLACES)},
    )
    with LocalStack(settings) as stack:
        assert stack.page_url is not None
        client = firestore_client(
            stack.environment["DARKROOM_PROJECT_ID"],
            emulator_host=stack.environment["FIRESTORE_EMULATOR_HOST"],
        )
        with httpx.Client(base_url=stack.page_url, timeout=90) as http:
            api = Api(stack=stack, http=http, store=FirestoreTaskStore(client, timeout_seconds=60))
            with api.pool:
                yield api


@pytest.fixture
def ended_api(api: Api) -> Iterator[Api]:
    """An API that the test ends."""
    yield api
    api.stack.restart("api")


def test_held_read_is_answered_on_a_change(api: Api) -> None:
    task_id, etag = api.submit()
    headers = {**LONG, "If-None-Match": etag}
    answer = api.pool.submit(lambda: api.http.get(f"/v1/tasks/{task_id}", headers=headers))
    api.claim(task_id)
    response = answer.result(PATIENCE_SECONDS)
    assert (response.status_code, response.json()["status"]) == (200, "processing")


def test_held_submission_is_answered_at_the_end(api: Api) -> None:
    headers = {**LONG, "Idempotency-Key": "held"}
    answer = api.pool.submit(lambda: api.http.post("/v1/tasks", json=PROMPT, headers=headers))
    first = api.http.post("/v1/tasks", json=PROMPT, headers={"Idempotency-Key": "held"})
    api.http.post(f"/v1/tasks/{first.json()['id']}/cancel")
    response = answer.result(PATIENCE_SECONDS)
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")


def test_disconnected_waiters_free_their_slots(api: Api) -> None:
    task_id, _ = api.submit()
    request = f"GET /v1/tasks/{task_id} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n\r\n"
    deadline = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as callers:
        while api.probe(task_id) != 429:  # the probe may take the last slot before the waiters do
            assert time.monotonic() < deadline, "places are left"
            caller = callers.enter_context(socket.create_connection((LOOPBACK, api.stack.ports["api"])))
            caller.sendall(request.encode())
    api.wait_until_free(task_id)


def test_stream_sends_each_change_and_ends_with_the_task(api: Api) -> None:
    task_id, etag = api.submit()
    with api.http.stream("GET", f"/v1/tasks/{task_id}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        events = events_of(answer.iter_text())
        first = next(events)
        assert (status_of(first), f'"{first.id}"') == ("queued", etag)
        api.http.post(f"/v1/tasks/{task_id}/cancel")
        last = next(events)
        assert status_of(last) == "cancelled"
        assert last.data == api.http.get(f"/v1/tasks/{task_id}").text
        assert list(events) == []


def test_stream_reports_a_deleted_task(api: Api) -> None:
    task_id, _ = api.submit()
    api.claim(task_id)  # otherwise the task is cancelled first, which ends the stream
    with api.http.stream("GET", f"/v1/tasks/{task_id}/events") as answer:
        events = events_of(answer.iter_text())
        assert status_of(next(events)) == "processing"
        api.http.delete(f"/v1/tasks/{task_id}")
        *_, gone = events
        assert (gone.event, gone.data) == ("deleted", json.dumps({"id": task_id}))


def test_disconnected_streams_free_their_slots(api: Api) -> None:
    task_id, _ = api.submit()
    with ExitStack() as exits:
        streams = [api.opened(task_id, exits) for _ in range(PLACES)]
        assert api.probe(task_id) == 429
        del streams
    api.wait_until_free(task_id)


def test_open_streams_do_not_delay_the_shutdown(ended_api: Api) -> None:
    task_id, _ = ended_api.submit()
    with ExitStack() as exits:
        streams = [ended_api.opened(task_id, exits) for _ in range(PLACES)]
        process = ended_api.stack.process("api")
        process.ask_to_stop()
        assert process.wait_stopped(timeout_seconds=PATIENCE_SECONDS)
        assert process.exit_code == 0
        assert [list(events) for events in streams] == [[]] * PLACES  # ended cleanly on the HTTP level


def test_websocket_sends_each_change_and_ends_with_the_task(api: Api) -> None:
    task_id, _ = api.submit()
    with connect(api.socket_url(task_id)) as caller:
        assert json.loads(caller.recv(PATIENCE_SECONDS))["status"] == "queued"
        api.http.post(f"/v1/tasks/{task_id}/cancel")
        assert caller.recv(PATIENCE_SECONDS) == api.http.get(f"/v1/tasks/{task_id}").text
        with pytest.raises(ConnectionClosed):
            caller.recv(PATIENCE_SECONDS)
        assert caller.close_code == 1000


def test_websocket_reports_a_deleted_task(api: Api) -> None:
    task_id, _ = api.submit()
    api.claim(task_id)
    with connect(api.socket_url(task_id)) as caller:
        assert json.loads(caller.recv(PATIENCE_SECONDS))["status"] == "processing"
        api.http.delete(f"/v1/tasks/{task_id}")
        with suppress(ConnectionClosed):
            while caller.recv(PATIENCE_SECONDS):  # it may receive the cancellation first
                continue
        assert caller.close_code == 4404


def test_websocket_of_another_origin_is_rejected(api: Api) -> None:
    task_id, _ = api.submit()
    with (
        pytest.raises(InvalidStatus) as refusal,
        connect(api.socket_url(task_id), origin=Origin("https://evil.test")),
    ):
        pass
    assert refusal.value.response.status_code == 403


def test_disconnected_websockets_free_their_slots(api: Api) -> None:
    task_id, _ = api.submit()
    with ExitStack() as callers:
        for _ in range(PLACES):
            api.opened_socket(task_id, callers)
        assert api.probe(task_id) == 429
    api.wait_until_free(task_id)


def test_open_websockets_do_not_delay_the_shutdown(ended_api: Api) -> None:
    task_id, _ = ended_api.submit()
    with ExitStack() as callers:
        opened = [ended_api.opened_socket(task_id, callers) for _ in range(PLACES)]
        process = ended_api.stack.process("api")
        process.ask_to_stop()
        assert process.wait_stopped(timeout_seconds=PATIENCE_SECONDS)
        assert process.exit_code == 0
        assert [list(caller) for caller in opened] == [[]] * PLACES
        assert [caller.close_code for caller in opened] == [1001] * PLACES


def test_held_reads_do_not_delay_the_shutdown(ended_api: Api) -> None:
    task_id, _ = ended_api.submit()

    def wait() -> httpx.Response:
        while (answer := ended_api.http.get(f"/v1/tasks/{task_id}", headers=LONG)).status_code == 429:
            continue  # the probe was faster
        return answer

    answers = [ended_api.pool.submit(wait) for _ in range(PLACES)]
    ended_api.wait_until_full(task_id)
    process = ended_api.stack.process("api")
    process.ask_to_stop()
    assert process.wait_stopped(timeout_seconds=PATIENCE_SECONDS)
    assert process.exit_code == 0
    assert [answer.result(PATIENCE_SECONDS).json()["status"] for answer in answers] == ["queued"] * PLACES
