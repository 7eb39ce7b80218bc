"""The limit on concurrent requests, which excludes requests that wait for changes."""

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest
from werkzeug.test import TestResponse

from common.domain.task import Task
from frontend_api.api_keys.api_key import ApiKey, new_key
from frontend_api.identity.emulator_tokens import unsigned_token
from tests.pictures import png
from tests.unit.frontend_api.conftest import PROJECT, Api, signed_in_as


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(folder=tmp_path, requests_at_once=1)
    yield api
    api.subscriptions.shut_down()


def held_reads(api: Api) -> tuple[threading.Semaphore, threading.Event]:
    """Make reads of tasks wait for the event. The semaphore counts those that have begun."""
    begun, goes_on, read = threading.Semaphore(0), threading.Event(), api.store.get

    def held(task_id: str) -> Task:
        begun.release()
        assert goes_on.wait(60)
        return read(task_id)

    api.store.get = held  # type: ignore[method-assign]
    return begun, goes_on


def test_limiter_makes_further_requests_wait(api: Api) -> None:
    task = api.stored_task()
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(api.client.get, f"/v1/tasks/{task.id}") for _ in range(3)]
        assert in_the_store.acquire(timeout=60)
        assert not in_the_store.acquire(timeout=0.2)
        goes_on.set()
        assert [answer.result(60).status_code for answer in answers] == [200] * 3


def test_limiter_releases_capacity_during_a_wait(api: Api) -> None:
    task = api.stored_task()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(api.client.get, f"/v1/tasks/{task.id}", headers={"Prefer": "wait=30"})
        assert api.changes.begun.acquire(timeout=60)
        stream = api.client.get(f"/v1/tasks/{task.id}/events")
        assert api.submit().status_code == 202
        assert not held.done()
        api.client.post(f"/v1/tasks/{task.id}/cancel")
        assert held.result(60).get_json()["status"] == "cancelled"
    stream.close()


class HeldBody(io.BytesIO):
    """The body of a request, whose reader waits for the event."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.is_read, self.goes_on = threading.Event(), threading.Event()

    def readinto(self, buffer: Any) -> int:
        self.is_read.set()
        assert self.goes_on.wait(60)
        return super().readinto(buffer)


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
def test_body_is_read_within_the_limit(api: Api, content_type: str) -> None:
    body = HeldBody(png())
    with ThreadPoolExecutor(2) as pool:
        upload = pool.submit(
            api.app.test_client().post,
            "/v1/inputs",
            input_stream=body,
            content_type=content_type,
            content_length=len(body.getvalue()),
        )
        assert body.is_read.wait(60)
        other = pool.submit(api.app.test_client().get, "/v1/models")
        assert not wait((other,), timeout=0.2).done
        body.goes_on.set()
        assert upload.result(60).status_code in (201, 400)
        assert other.result(60).status_code == 200


def test_tasks_of_one_request_change_within_the_limit(api: Api) -> None:
    ids = [api.stored_task(task_id=f"task-{number}").id for number in range(3)]
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            api.client.post, "/v1/tasks:label", json={"task_ids": ids, "labels": {"team": "a"}}
        )
        assert in_the_store.acquire(timeout=60)
        assert not in_the_store.acquire(timeout=0.2)
        goes_on.set()
        assert answer.result(60).get_json()["done"] == 3


def test_requests_that_change_many_tasks_wait_outside_the_limit(api: Api) -> None:
    """Otherwise one that waits for its turn would hold the capacity that the running one needs."""
    task = api.stored_task()
    begun, goes_on = held_reads(api)
    body = {"task_ids": [task.id], "labels": {"team": "a"}}
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(api.client.post, "/v1/tasks:label", json=body) for _ in range(3)]
        assert begun.acquire(timeout=60)
        goes_on.set()
        assert [answer.result(60).get_json()["done"] for answer in answers] == [1] * 3


def test_limiter_releases_capacity_after_an_error(api: Api) -> None:
    for _ in range(3):
        assert api.client.get("/v1/tasks/unknown").status_code == 404
        assert api.client.get("/v1/tasks", headers={"Host": "elsewhere.example"}).status_code == 400
        assert api.submit(steps=0).status_code == 422
    assert api.submit().status_code == 202


def test_request_with_a_body_takes_its_turn_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.client.get("/v1/models").status_code == 200  # so the caller is known
    enter = Mock(wraps=api.dependencies.http.enter)
    monkeypatch.setattr(api.dependencies.http, "enter", enter)
    assert api.submit().status_code == 202
    caller = enter.call_args.args[0]
    # It returns from the publish before the caller's other requests.
    assert enter.mock_calls == [call(caller, returns=False), call(caller, returns=True)]


def test_requests_of_other_callers_pass_a_burst(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=2)
    task, ada = api.stored_task(user_id="ada"), signed_in_as("ada")
    assert api.client.get("/v1/models", headers=ada).status_code == 200
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(4) as pool:
        burst = [pool.submit(api.client.get, f"/v1/tasks/{task.id}", headers=ada) for _ in range(4)]
        assert in_the_store.acquire(timeout=60)
        # Neither a caller without credentials nor one with others waits for the burst.
        others = [api.client.get("/v1/models", headers=each) for each in ({}, signed_in_as("bob"))]
        goes_on.set()
        assert [answer.result(60).status_code for answer in burst] == [200] * 4
    assert [answer.status_code for answer in others] == [200, 200]
    api.subscriptions.shut_down()


def key_of(api: Api, user_id: str) -> dict[str, str]:
    """Return the header of a new API key, which no request has used."""
    answer = api.client.post(
        "/v1/keys", json={"name": "new", "scopes": ["read"]}, headers=signed_in_as(user_id)
    )
    return {"X-API-Key": answer.get_json()["key"]}


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
def test_user_has_one_queue_for_all_its_credentials(tmp_path: Path, is_known: bool) -> None:
    api = Api(folder=tmp_path, requests_at_once=4)
    task, token = api.stored_task(user_id="ada"), signed_in_as("ada")["Authorization"]
    requests = [
        ({"Authorization": token}, "10.0.0.1"),
        ({"Authorization": token.replace("Bearer ", "bearer   ")}, "10.0.0.2"),
        ({"Authorization": token, "Sec-WebSocket-Protocol": "chat"}, "10.0.0.3"),
        (key_of(api, "ada"), "10.0.0.4"),
    ]

    def get(path: str, headers: dict[str, str], address: str) -> TestResponse:
        return api.app.test_client().get(path, headers=headers, environ_base={"REMOTE_ADDR": address})

    if is_known:
        assert {get("/v1/models", *each).status_code for each in requests} == {200}
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(get, f"/v1/tasks/{task.id}", *each) for each in requests]
        assert in_the_store.acquire(timeout=60)
        assert not in_the_store.acquire(timeout=0.2)
        goes_on.set()
        assert [answer.result(60).status_code for answer in reads] == [200] * 4
    api.subscriptions.shut_down()


def test_refused_request_does_not_wait_for_its_users_turn(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=2, requests_per_minute=2)
    task, key = api.stored_task(user_id="ada"), key_of(api, "ada")
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(api.app.test_client().get, f"/v1/tasks/{task.id}", headers=signed_in_as("ada"))
        assert in_the_store.acquire(timeout=60)
        assert api.client.get("/v1/models", headers=key).status_code == 429
        goes_on.set()
        assert held.result(60).status_code == 200
    api.subscriptions.shut_down()


def test_revoked_key_has_no_turns_of_its_former_owner(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=4)
    task, key = api.stored_task(user_id="ada"), key_of(api, "ada")
    (key_id,) = (
        each["id"] for each in api.client.get("/v1/keys", headers=signed_in_as("ada")).get_json()["keys"]
    )
    limiter, elsewhere = api.dependencies.http, {"REMOTE_ADDR": "10.0.0.1"}

    def caller_of(headers: dict[str, str]) -> str:
        with api.app.test_request_context(headers=headers, environ_base=elsewhere):
            return limiter.current_caller()

    assert api.client.get(f"/v1/tasks/{task.id}", headers=key).status_code == 200
    assert caller_of(key) == "user ada"
    with api.app.test_request_context(headers=key, environ_base=elsewhere):
        assert limiter.checked_caller() == "network 10.0.0.1", "this request's key was not checked"
    assert api.client.delete(f"/v1/keys/{key_id}", headers=signed_in_as("ada")).status_code == 204
    assert api.client.get(f"/v1/tasks/{task.id}", headers=key).status_code == 401
    assert caller_of(key) == "network 10.0.0.1"
    assert caller_of(signed_in_as("ada")) == "user ada"
    api.subscriptions.shut_down()


def test_invented_credentials_share_the_queue_of_their_network(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=2)
    begun, goes_on, read = threading.Semaphore(0), threading.Event(), api.api_keys.get

    def held(key_id: str) -> ApiKey:
        begun.release()
        assert goes_on.wait(60)
        return read(key_id)

    api.api_keys.get = held  # type: ignore[method-assign]
    with ThreadPoolExecutor(3) as pool:
        keys = [{"X-API-Key": new_key()[1]} for _ in range(3)]
        answers = [pool.submit(api.client.get, "/v1/models", headers=each) for each in keys]
        assert begun.acquire(timeout=60)
        assert not begun.acquire(timeout=0.2)
        goes_on.set()
        assert [answer.result(60).status_code for answer in answers] == [401] * 3
    api.subscriptions.shut_down()


def test_token_of_a_websocket_does_not_name_requests_without_credentials(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=2)
    task, token = api.stored_task(user_id="ada"), unsigned_token("ada", project_id=PROJECT)
    handshake = {"Sec-WebSocket-Protocol": f"darkroom, bearer.{token}"}
    assert api.client.get(f"/v1/tasks/{task.id}/ws", headers=handshake).status_code == 426
    assert api.client.get("/v1/models", headers=signed_in_as("ada")).status_code == 200
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(api.client.get, f"/v1/tasks/{task.id}", headers=signed_in_as("ada"))
        assert in_the_store.acquire(timeout=60)
        assert api.client.get("/v1/models").status_code == 200
        goes_on.set()
        assert held.result(60).status_code == 200
    api.subscriptions.shut_down()


def test_internal_calls_do_not_wait_for_requests_of_their_network(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, requests_at_once=2)
    assert api.call_internal("rescue").status_code == 200
    task = api.stored_task(user_id="ada")
    in_the_store, goes_on = held_reads(api)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(api.client.get, f"/v1/tasks/{task.id}", headers=signed_in_as("ada"))
        assert in_the_store.acquire(timeout=60)
        assert api.call_internal("rescue").status_code == 200
        goes_on.set()
        assert first.result(60).status_code == 200
    api.subscriptions.shut_down()


def test_pushes_do_not_wait_for_jobs_of_the_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(folder=tmp_path, requests_at_once=8)  # one of each caller
    begun, goes_on, remove = threading.Event(), threading.Event(), api.store.list_expired

    def held(*given: Any, **named: Any) -> Any:
        begun.set()
        assert goes_on.wait(60)
        return remove(*given, **named)

    monkeypatch.setattr(api.store, "list_expired", held)
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(api.call_internal, "remove-expired")
        assert begun.wait(60)
        try:
            assert pool.submit(api.call_internal, "rescue").result(timeout=60).status_code == 200
        finally:
            goes_on.set()
        assert job.result(60).status_code == 200
