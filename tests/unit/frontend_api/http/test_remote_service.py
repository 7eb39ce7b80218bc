"""Calls of services that do not respond leave the capacity of the gate to other requests."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from frontend_api.http.concurrency_limiter import ConcurrencyLimiter
from frontend_api.http.remote_service import RemoteService
from frontend_api.http.requests import json_body
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.webhooks.test_webhooks import completed, push_of


class HangingMethod:
    """A method that does not respond until the test ends. The semaphore counts its calls."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.calls = threading.Semaphore(0)
        self.ends = threading.Event()

    def __call__(self, *_arguments: object, **_options: object) -> None:
        self.calls.release()
        assert self.ends.wait(60)
        raise DependencyUnavailableError(self._service)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """One request at a time: a call that kept its capacity would stop all others."""
    api = Api(folder=tmp_path, requests_at_once=1)
    yield api
    api.subscriptions.shut_down()


def images(api: Api, task: Task) -> TestResponse:
    return api.app.test_client().get(f"/v1/tasks/{task.id}/images/0")


def thumbnail(api: Api, task: Task) -> TestResponse:
    return api.app.test_client().get(f"/v1/tasks/{task.id}/images/0/thumbnail")


def upload(api: Api, _: Task) -> TestResponse:
    return api.app.test_client().post("/v1/inputs", data=png(), content_type="image/png")


def start_upload(api: Api, _: Task) -> TestResponse:
    body = {"size_bytes": 1000, "content_type": "image/png"}
    return api.app.test_client().post("/v1/inputs:start", json=body)


def submit(api: Api, _: Task) -> TestResponse:
    return api.app.test_client().post("/v1/tasks", json={"prompt": "a red circle"})


def submit_with_picture(api: Api, _: Task) -> TestResponse:
    body = {"prompt": "a red circle", "image": "0" * 64}
    return api.app.test_client().post("/v1/tasks", json=body)


def submit_batch(api: Api, _: Task) -> TestResponse:
    return api.app.test_client().post("/v1/tasks:batch", json={"tasks": [{"prompt": "a red circle"}]})


def delete(api: Api, task: Task) -> TestResponse:
    return api.app.test_client().delete(f"/v1/tasks/{task.id}")


def delete_many(api: Api, task: Task) -> TestResponse:
    return api.app.test_client().post("/v1/tasks:delete", json={"task_ids": [task.id]})


def cancel(api: Api, _: Task) -> TestResponse:
    waiting = api.stored_task(task_id="f" * 32)
    return api.app.test_client().post(f"/v1/tasks/{waiting.id}/cancel")


@pytest.mark.parametrize(
    ("port", "method", "request_of"),
    [
        ("images", "read", images),
        ("images", "read", thumbnail),
        ("images", "remove_folder", delete),
        ("images", "remove_folder", delete_many),
        ("inputs", "get", upload),
        ("inputs", "create", upload),
        ("inputs", "get", submit_with_picture),
        ("upload_sessions", "start", start_upload),
        ("queue", "publish", submit),
        ("queue", "publish", submit_batch),
        ("events", "publish", cancel),
    ],
)
def test_service_that_hangs_holds_no_capacity_of_other_requests(
    api: Api, port: str, method: str, request_of: Callable[[Api, Task], TestResponse]
) -> None:
    task, hanging = api.completed_task(), HangingMethod(port)
    setattr(getattr(api, port), method, hanging)
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(request_of, api, task)
        assert hanging.calls.acquire(timeout=60)
        other = pool.submit(api.app.test_client().get, "/v1/models")
        try:
            assert other.result(30).status_code == 200
            assert not held.done()
        finally:
            hanging.ends.set()
        held.result(60)


def test_batches_of_a_caller_are_not_parsed_while_others_of_it_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed batches that wait for a service would use up the memory."""
    parsed = threading.Semaphore(0)

    def parsing(*arguments: Any, **options: Any) -> Any:
        parsed.release()
        return json_body(*arguments, **options)

    monkeypatch.setattr("frontend_api.batches.routes.json_body", parsing)
    task, hanging = api.completed_task(), HangingMethod("pubsub")
    with monkeypatch.context() as service, ThreadPoolExecutor(2) as pool:
        service.setattr(api.queue, "publish", hanging)
        held = [pool.submit(submit_batch, api, task) for _ in range(2)]
        try:
            assert hanging.calls.acquire(timeout=60)
            assert parsed.acquire(timeout=60)
            assert not parsed.acquire(timeout=0.2)
        finally:
            hanging.ends.set()
        assert [each.result(60).status_code for each in held] == [200] * 2


def test_webhook_receiver_that_hangs_holds_no_capacity_of_other_requests(api: Api) -> None:
    task = completed(api)
    api.receiver.answers.clear()
    with ThreadPoolExecutor(2) as pool:
        push = pool.submit(push_of, api, task)
        assert api.receiver.arrived.acquire(timeout=60)
        try:
            assert pool.submit(api.app.test_client().get, "/v1/models").result(30).status_code == 200
        finally:
            api.receiver.answers.set()
        assert push.result(60).status_code == 204


def test_changes_of_many_tasks_that_wait_for_others_hold_no_capacity(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, hanging = api.completed_task(), HangingMethod("storage")
    monkeypatch.setattr(api.images, "remove_folder", hanging)
    turns, arrived = api.dependencies.batches.change.turns, threading.Semaphore(0)
    turn_of = turns.turn_of

    def counted(user_id: str) -> AbstractContextManager[None]:
        arrived.release()
        return turn_of(user_id)

    monkeypatch.setattr(turns, "turn_of", counted)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(delete_many, api, task)
        assert hanging.calls.acquire(timeout=60)
        second = pool.submit(delete_many, api, task)
        try:
            assert all(arrived.acquire(timeout=30) for _ in (first, second))
            other = pool.submit(api.app.test_client().get, "/v1/models")
            assert other.result(30).status_code == 200
        finally:
            hanging.ends.set()
        assert [each.result(60).status_code for each in (first, second)] == [200, 200]


def test_service_gets_few_calls_at_once_and_callers_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(folder=tmp_path, requests_at_once=4)
    tasks = {
        name: api.completed_task(user_id=name, task_id=each * 32)
        for name, each in (("ada", "a"), ("bob", "b"))
    }
    for name in tasks:
        assert api.client.get("/v1/models", headers=signed_in_as(name)).status_code == 200
    hanging = HangingMethod("storage")
    monkeypatch.setattr(api.images, "read", hanging)

    def read(name: str) -> TestResponse:
        address = f"/v1/tasks/{tasks[name].id}/images/0/thumbnail"
        return api.app.test_client().get(address, headers=signed_in_as(name))

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(read, "ada") for _ in range(3)]
        assert hanging.calls.acquire(timeout=60)
        assert not hanging.calls.acquire(timeout=0.2)  # a quarter of four
        answers.append(pool.submit(read, "bob"))
        assert hanging.calls.acquire(timeout=60)
        hanging.ends.set()
        assert [each.result(60).status_code for each in answers] == [503] * 4
    api.subscriptions.shut_down()


class Service:
    """A RemoteService with capacity for one call, and threads whose requests call it."""

    def __init__(self, *, timeout_seconds: float) -> None:
        self.gate = ConcurrencyLimiter(at_once=8, per_caller=8)
        self.hanging = HangingMethod("storage")
        remote = RemoteService("storage", self.gate, at_once=1, per_caller=1, timeout_seconds=timeout_seconds)
        self.port = remote.limited(self)
        self.pool = ThreadPoolExecutor(4)

    def hang(self) -> None:
        self.hanging()

    def miss(self) -> None:
        time.sleep(0.3)  # the time that a call takes
        raise LookupError("no such file")

    def respond(self) -> str:
        return "a response"

    def call(self, method: Callable[[], object]) -> Future[object]:
        def request() -> object:
            with self.gate.held_by("ada"):
                return method()

        return self.pool.submit(request)


def test_call_fails_when_a_service_has_no_capacity_and_does_not_respond() -> None:
    service = Service(timeout_seconds=0.2)
    held = service.call(service.port.hang)
    assert service.hanging.calls.acquire(timeout=60)
    with pytest.raises(DependencyUnavailableError, match="storage"):
        service.call(service.port.respond).result(60)
    service.hanging.ends.set()
    assert isinstance(held.exception(60), DependencyUnavailableError)
    # The call that failed has left no capacity behind.
    assert service.call(service.port.respond).result(60) == "a response"


def test_call_waits_while_the_service_answers_with_errors() -> None:
    service = Service(timeout_seconds=0.5)
    calls = [service.call(service.port.miss) for _ in range(4)]
    assert {type(each.exception(60)) for each in calls} == {LookupError}


def test_call_waits_for_a_service_that_is_slow() -> None:
    service = Service(timeout_seconds=30)
    held = service.call(service.port.hang)
    assert service.hanging.calls.acquire(timeout=60)
    waiting = service.call(service.port.respond)
    assert not waiting.done()
    service.hanging.ends.set()
    assert waiting.result(60) == "a response"
    assert isinstance(held.exception(60), DependencyUnavailableError)


def test_requests_that_return_from_a_service_stay_within_their_callers_share() -> None:
    gate = ConcurrencyLimiter(at_once=4, per_caller=1)
    remote = RemoteService("storage", gate, at_once=4, per_caller=4, timeout_seconds=30)
    calls, respond, returned, go_on = (
        threading.Semaphore(0), threading.Event(), threading.Semaphore(0), threading.Event(),
    )  # fmt: skip

    class Port:
        def read(self) -> None:
            calls.release()
            assert respond.wait(60)

    def request() -> None:
        with gate.held_by("ada"):
            remote.limited(Port()).read()
            returned.release()
            assert go_on.wait(60)

    with ThreadPoolExecutor(3) as pool:
        requests = [pool.submit(request) for _ in range(3)]
        assert all(calls.acquire(timeout=60) for _ in requests)
        respond.set()
        assert returned.acquire(timeout=60)
        assert not returned.acquire(timeout=0.2)
        assert gate.enter("bob").is_set()
        go_on.set()
        assert [each.result(60) for each in requests] == [None] * 3


def test_calls_outside_of_requests_take_no_turns() -> None:
    service = Service(timeout_seconds=30)
    held = service.call(service.port.hang)
    assert service.hanging.calls.acquire(timeout=60)
    assert service.port.respond() == "a response"
    service.hanging.ends.set()
    assert isinstance(held.exception(60), DependencyUnavailableError)
