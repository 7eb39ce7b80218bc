"""The limit on concurrent requests, which excludes requests that wait for changes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.domain.task import Task
from tests.unit.frontend_api.conftest import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(folder=tmp_path, requests_at_once=1)
    yield api
    api.subscriptions.shut_down()


def test_limiter_makes_further_requests_wait(api: Api) -> None:
    task = api.stored_task()
    in_the_store, goes_on, read = threading.Semaphore(0), threading.Event(), api.store.get

    def slow(task_id: str) -> Task:
        in_the_store.release()
        assert goes_on.wait(60)
        return read(task_id)

    api.store.get = slow  # type: ignore[method-assign]
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


def test_limiter_releases_capacity_after_an_error(api: Api) -> None:
    for _ in range(3):
        assert api.client.get("/v1/tasks/unknown").status_code == 404
        assert api.client.get("/v1/tasks", headers={"Host": "elsewhere.example"}).status_code == 400
        assert api.submit(steps=0).status_code == 422
    assert api.submit().status_code == 202
