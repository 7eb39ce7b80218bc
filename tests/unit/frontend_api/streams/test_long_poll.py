"""`Prefer: wait=N`: responses that wait until the task changes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.task import Task
from tests.unit.frontend_api.conftest import Api

LONG = {"Prefer": "wait=30"}
A_MOMENT = {"Prefer": "wait=1"}
PROMPT = {"prompt": "a large red circle"}


def waiting_response(api: Api, ask: Callable[[], TestResponse], then: Callable[[], Any]) -> TestResponse:
    """Return the answer to a request that is waiting when `then` runs."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert api.changes.begun.acquire(timeout=60)
        assert not answer.done()
        then()
        return answer.result(60)


def only_task(api: Api) -> Task:
    (task,) = api.store.all_tasks
    return task


def test_submission_waits_until_the_task_is_finished(api: Api) -> None:
    def draw() -> None:
        task = only_task(api)
        api.claim(task)
        api.complete(task)

    answer = waiting_response(api, lambda: api.client.post("/v1/tasks", json=PROMPT, headers=LONG), draw)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "completed")
    assert answer.get_json()["images"]
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert answer.headers["Location"] == f"/v1/tasks/{answer.get_json()['id']}"
    assert "Idempotency-Replayed" not in answer.headers
    answer.close()
    assert api.changes.subscribers == 0


def test_submission_returns_the_current_state_after_the_timeout(api: Api) -> None:
    answer = api.client.post("/v1/tasks", json=PROMPT, headers=A_MOMENT)
    assert (answer.status_code, answer.get_json()["status"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert len(api.queue.published) == 1
    answer.close()
    assert api.changes.subscribers == 0


def test_replay_waits_like_the_first_request(api: Api) -> None:
    headers = {**LONG, "Idempotency-Key": "once"}
    api.client.post("/v1/tasks", json=PROMPT, headers={"Idempotency-Key": "once"})
    ask = lambda: api.client.post("/v1/tasks", json=PROMPT, headers=headers)  # noqa: E731 (said once, used once)
    answer = waiting_response(api, ask, lambda: api.client.post(f"/v1/tasks/{only_task(api).id}/cancel"))
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert answer.headers["Idempotency-Replayed"] == "true"


def test_refused_submission_does_not_wait(api: Api) -> None:
    assert api.client.post("/v1/tasks", json={"prompt": ""}, headers=LONG).status_code == 422
    assert api.client.post("/v1/tasks", json={**PROMPT, "steps": 0}, headers=LONG).status_code == 422
    assert api.has_taken_nothing()


def test_read_waits_until_the_task_changes(api: Api) -> None:
    task = api.stored_task()
    path = f"/v1/tasks/{task.id}"
    first = waiting_response(api, lambda: api.client.get(path, headers=LONG), lambda: api.claim(task))
    assert (first.status_code, first.get_json()["status"]) == (200, "processing")
    assert first.headers["Preference-Applied"] == "wait=30"
    known = {**LONG, "If-None-Match": first.headers["ETag"]}
    second = waiting_response(api, lambda: api.client.get(path, headers=known), lambda: api.complete(task))
    assert (second.status_code, second.get_json()["status"]) == (200, "completed")
    assert second.headers["ETag"] != first.headers["ETag"]
    assert api.changes.subscribers == 2  # a caller who reads slowly keeps its subscription
    first.close()
    second.close()
    assert api.changes.subscribers == 0


def test_read_returns_at_once_when_the_etag_is_outdated(api: Api) -> None:
    task = api.stored_task()
    answer = api.client.get(f"/v1/tasks/{task.id}", headers={**LONG, "If-None-Match": '"of another time"'})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30")
    assert not api.changes.begun.acquire(blocking=False)


def test_read_returns_at_once_when_the_task_is_finished(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.get(f"/v1/tasks/{task.id}", headers=LONG)
    assert answer.status_code == 200
    known = {**LONG, "If-None-Match": answer.headers["ETag"]}
    assert api.client.get(f"/v1/tasks/{task.id}", headers=known).status_code == 304
    assert not api.changes.begun.acquire(blocking=False)


def test_read_returns_the_current_state_after_the_timeout(api: Api) -> None:
    task = api.stored_task()
    answer = api.client.get(f"/v1/tasks/{task.id}", headers=A_MOMENT)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "queued")
    known = {**A_MOMENT, "If-None-Match": answer.headers["ETag"]}
    unchanged = api.client.get(f"/v1/tasks/{task.id}", headers=known)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["Preference-Applied"] == "wait=1"


def test_read_is_not_found_when_the_task_is_deleted_meanwhile(api: Api) -> None:
    task = api.stored_task()
    ask = lambda: api.client.get(f"/v1/tasks/{task.id}", headers=LONG)  # noqa: E731 (said once, used once)
    answer = waiting_response(api, ask, lambda: api.store.delete(task.id, now=api.clock.now()))
    assert (answer.status_code, answer.get_json()["code"]) == (404, "task_not_found")


@pytest.mark.parametrize("prefer", ["wait=0", "wait=soon", "respond-async"])
def test_other_preferences_are_ignored(api: Api, prefer: str) -> None:
    answer = api.client.post("/v1/tasks", json=PROMPT, headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers


def test_request_is_refused_when_too_many_callers_wait(
    api: Api,
) -> None:
    task = api.stored_task()
    subscriptions = [api.subscriptions.reserve("local") for _ in range(api.max_waiting)]
    for refused in (
        api.client.post("/v1/tasks", json=PROMPT, headers=LONG),
        api.client.get(f"/v1/tasks/{task.id}", headers=LONG),
    ):
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_waiting")
        assert refused.get_json()["retryable"]
        assert int(refused.headers["Retry-After"]) >= 1
    assert not api.queue.published
    assert api.client.post("/v1/tasks", json=PROMPT).status_code == 202
    assert api.client.get(f"/v1/tasks/{task.id}").status_code == 200
    for subscription in subscriptions:
        subscription.close()
    assert api.client.get(f"/v1/tasks/{task.id}", headers=A_MOMENT).status_code == 200
