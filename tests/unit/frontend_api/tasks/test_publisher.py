"""Confirmed messages are recorded after the answer: in a batch, once, and over no other change."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.domain.task import TaskStatus
from tests.unit.frontend_api.conftest import Api

KEY = {"Idempotency-Key": "order-66"}
TTL = timedelta(seconds=90)


class Later(Executor):
    """Runs its jobs only when the test calls it."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs.append(lambda: fn(*args, **kwargs))
        return Future()

    def do_all(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def api(tmp_path: Path, later: Later) -> Api:
    return Api(folder=tmp_path, background=later)


def test_confirmations_that_come_together_are_stored_in_one_write(api: Api, later: Later) -> None:
    ids = [api.submit().get_json()["id"] for _ in range(3)]
    assert [api.stored(task_id).enqueued_at for task_id in ids] == [None] * 3
    confirmed_at = api.clock.now()
    api.clock.advance(5)
    later.do_all()
    assert [api.stored(task_id).enqueued_at for task_id in ids] == [confirmed_at] * 3
    assert api.batches.calls == 1


def test_confirmation_does_not_change_what_the_owner_sees(api: Api, later: Later) -> None:
    answer = api.submit()
    later.do_all()
    read = api.client.get(answer.headers["Location"])
    assert (read.headers["ETag"], read.get_json()) == (answer.headers["ETag"], answer.get_json())


def test_confirmation_is_stored_after_an_earlier_write(api: Api, later: Later) -> None:
    for _ in range(2):
        task_id = api.submit().get_json()["id"]
        later.do_all()
        assert api.stored(task_id).enqueued_at is not None


def test_confirmations_are_stored_in_several_writes_when_too_many_for_one(api: Api, later: Later) -> None:
    for _ in range(6):
        answer = api.client.post("/v1/tasks:batch", json={"tasks": [{"prompt": "a large red circle"}] * 100})
        assert answer.get_json()["accepted"] == 100
    calls = api.batches.calls
    later.do_all()
    assert api.batches.calls == calls + 2
    assert all(task.enqueued_at is not None for task in api.store.all_tasks)


def test_replay_publishes_nothing_while_a_confirmation_is_unwritten(api: Api, later: Later) -> None:
    body = {"prompt": "a large red circle"}
    for _ in range(2):
        assert api.client.post("/v1/tasks", json=body, headers=KEY).status_code in (200, 202)
    batch = {"tasks": [{**body, "idempotency_key": "order-66"}]}
    (item,) = api.client.post("/v1/tasks:batch", json=batch).get_json()["results"]
    assert item["status"] == 200
    assert len(api.queue.published) == 1
    later.do_all()
    api.client.post("/v1/tasks", json=body, headers=KEY)
    assert len(api.queue.published) == 1


@pytest.mark.parametrize("in_batch", [False, True])
def test_replay_publishes_beside_an_unwritten_confirmation_of_a_deleted_task(
    api: Api, in_batch: bool
) -> None:
    """The new task has the deleted one's id."""
    task = {"prompt": "a large red circle"}
    deleted = api.client.post("/v1/tasks", json=task, headers=KEY).get_json()["id"]
    api.client.delete(f"/v1/tasks/{deleted}")
    api.clock.advance(0.05)
    api.queue.unavailable = True
    assert api.client.post("/v1/tasks", json=task, headers=KEY).status_code == 503
    api.queue.unavailable = False
    if in_batch:
        batch = {"tasks": [{**task, "idempotency_key": "order-66"}]}
        (replay,) = api.client.post("/v1/tasks:batch", json=batch).get_json()["results"]
        assert replay["status"] == 200
    else:
        assert api.client.post("/v1/tasks", json=task, headers=KEY).status_code == 200
    assert len(api.queue.published) == 2
    assert api.stored(deleted).created_at == api.clock.now()


def test_confirmation_of_a_new_task_outlasts_the_write_of_a_deleted_one(
    api: Api, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new task has the deleted one's id, and is published during the write."""
    task_id = api.client.post("/v1/tasks", json={"prompt": "a"}, headers=KEY).get_json()["id"]
    api.client.delete(f"/v1/tasks/{task_id}")
    write = api.batches.update_unchanged

    def write_while_a_task_arrives(*args: Any) -> Any:
        monkeypatch.setattr(api.batches, "update_unchanged", write)
        api.clock.advance(0.05)
        assert api.client.post("/v1/tasks", json={"prompt": "a"}, headers=KEY).status_code == 202
        return write(*args)

    monkeypatch.setattr(api.batches, "update_unchanged", write_while_a_task_arrives)
    later.do_all()
    assert api.stored(task_id).enqueued_at == api.clock.now()


def test_confirmation_is_skipped_when_the_task_was_claimed_meanwhile(api: Api, later: Later) -> None:
    task_id = api.submit().get_json()["id"]
    claimed = api.store.update(task_id, lambda task: task.claimed_by("worker", api.clock.now(), TTL))
    later.do_all()
    assert api.stored(task_id) == claimed
    assert (claimed.status, claimed.enqueued_at) == (TaskStatus.PROCESSING, api.clock.now())


def test_confirmations_are_dropped_when_the_store_is_unavailable(api: Api, later: Later) -> None:
    lost = api.submit().get_json()["id"]
    api.store.unavailable = True
    later.do_all()
    api.store.unavailable = False
    kept = api.submit().get_json()["id"]
    later.do_all()
    assert (api.stored(lost).enqueued_at, api.stored(kept).enqueued_at) == (None, api.clock.now())


def test_submission_succeeds_when_the_process_is_ending(
    api: Api, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Future[Any]:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(later, "submit", refuse)
    assert api.submit().status_code == 202


def test_new_task_of_a_batch_is_published_beside_a_deleted_one_with_its_id(api: Api, later: Later) -> None:
    headers = {"Idempotency-Key": "order-1"}
    task_id = api.client.post("/v1/tasks", json={"prompt": "a"}, headers=headers).get_json()["id"]
    api.client.delete(f"/v1/tasks/{task_id}")
    api.clock.advance(0.05)
    batch = {"tasks": [{"prompt": "a", "idempotency_key": "order-1"}]}
    (result,) = api.client.post("/v1/tasks:batch", json=batch).get_json()["results"]
    assert (result["outcome"], result["task_id"]) == ("accepted", task_id)
    assert len(api.queue.published) == 2
