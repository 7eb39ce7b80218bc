"""POST /internal/remove-expired removes what has expired, and never objects of existing tasks."""

import threading
from datetime import timedelta
from typing import Any

from common.domain.task import Task, TaskStatus
from tests.unit.frontend_api.conftest import Api

KEPT = timedelta(days=30)  # as the API under test is configured


def removed(api: Api) -> int:
    answer = api.call_internal("remove-expired")
    assert answer.status_code == 200, answer.text
    return int(answer.get_json()["removed"])


def test_expired_task_is_removed_with_its_objects_and_not_earlier(api: Api) -> None:
    task = api.completed_task()
    api.images.objects[f"{task.folder}checkpoints/0.safetensors"] = b"left by an attempt that was lost"
    expires_at = api.client.get(f"/v1/tasks/{task.id}").get_json()["expires_at"]
    assert expires_at == (api.clock.now() + KEPT).isoformat().replace("+00:00", "Z")
    api.clock.advance(KEPT.total_seconds())
    assert removed(api) == 0
    api.clock.advance(1)
    assert removed(api) == 1
    assert (api.store.all_tasks, api.images.objects) == ((), {})
    assert removed(api) == 0


def test_active_task_is_never_removed(api: Api) -> None:
    waiting = api.stored_task(task_id="waiting")
    running = api.claimed_task(task_id="running")
    checkpoint = f"{running.folder}checkpoints/0.safetensors"
    api.images.objects[checkpoint] = b"where the next attempt goes on"
    api.clock.advance(400 * 86_400)
    assert removed(api) == 0
    assert {task.id for task in api.store.all_tasks} == {waiting.id, running.id}
    assert list(api.images.objects) == [checkpoint]
    assert api.client.get("/v1/tasks/waiting").get_json()["expires_at"] is None


def test_retried_task_is_not_removed(api: Api) -> None:
    task = api.stored_task()
    assert api.client.post(f"/v1/tasks/{task.id}/cancel").get_json()["expires_at"] is not None
    api.clock.advance(KEPT.total_seconds() - 1)
    assert api.client.post(f"/v1/tasks/{task.id}/retry").get_json()["expires_at"] is None
    api.clock.advance(10)
    assert removed(api) == 0


def test_task_that_is_retried_during_removal_keeps_its_objects(api: Api) -> None:
    task = api.stored_task(task_id="late")
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    image = f"{task.folder}attempt-1/0.png"
    api.images.objects[image] = b"an object"
    api.clock.advance(KEPT.total_seconds() + 1)
    delete = api.store.delete_unchanged

    def retried_first(task: Task) -> bool:
        api.client.post(f"/v1/tasks/{task.id}/retry")
        return delete(task)

    api.store.delete_unchanged = retried_first  # type: ignore[method-assign]
    assert removed(api) == 0
    assert api.stored(task.id).status is TaskStatus.QUEUED
    assert list(api.images.objects) == [image]


def store_expired(api: Api, count: int) -> None:
    for number in range(count):
        api.stored_task(task_id=f"task-{number}")
        api.store.update(f"task-{number}", lambda task: task.cancelled(api.clock.now()))
    api.clock.advance(KEPT.total_seconds() + 1)


def test_number_of_tasks_that_a_run_removes_is_not_limited(api: Api) -> None:
    store_expired(api, 1_250)
    assert removed(api) == 1_250


def test_run_ends_in_time_and_the_next_one_continues(api: Api) -> None:
    store_expired(api, 250)
    list_expired = api.store.list_expired

    def list_slowly(**selection: Any) -> tuple[Task, ...]:
        api.clock.advance(200)
        return list_expired(**selection)

    api.store.list_expired = list_slowly  # type: ignore[method-assign]
    assert [removed(api), removed(api)] == [200, 50]


def test_removals_of_a_page_do_not_wait_for_each_other(api: Api) -> None:
    store_expired(api, 3)
    both_begun = threading.Barrier(2, timeout=60)
    remove_folder = api.images.remove_folder

    def remove_with_another(folder: str) -> None:
        if len(api.store.all_tasks) < 2:  # the first task of a page is removed alone
            both_begun.wait()
        remove_folder(folder)

    api.images.remove_folder = remove_with_another  # type: ignore[method-assign]
    assert removed(api) == 3


def test_outage_of_the_bucket_costs_one_document_of_a_run(api: Api) -> None:
    store_expired(api, 20)
    api.images.unavailable = True
    assert api.call_internal("remove-expired").status_code == 503
    assert len(api.store.all_tasks) == 19
