"""POST /internal/remove-expired removes what has expired, and never objects of existing tasks."""

from datetime import timedelta

from common.domain.task import Task, TaskStatus
from tests.unit.frontend_api.conftest import INTERNAL_TOKEN, Api

KEPT = timedelta(days=30)  # as the API under test is configured


def removed(api: Api) -> int:
    answer = api.client.post(
        "/internal/remove-expired", headers={"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    )
    assert answer.status_code == 200, answer.text
    return int(answer.get_json()["removed"])


def test_an_ended_task_goes_with_all_its_objects_when_its_time_is_up_and_no_sooner(api: Api) -> None:
    task = api.completed_task()
    api.images.objects[f"{task.folder}checkpoints/0.safetensors"] = b"left by an attempt that was lost"
    told = api.client.get(f"/v1/tasks/{task.id}").get_json()["expires_at"]
    assert told == (api.clock.now() + KEPT).isoformat().replace("+00:00", "Z")
    api.clock.advance(KEPT.total_seconds())
    assert removed(api) == 0
    api.clock.advance(1)
    assert removed(api) == 1
    assert (api.store.all_tasks, api.images.objects) == ((), {})
    assert removed(api) == 0


def test_a_task_that_has_not_ended_stays_however_old_it_is(api: Api) -> None:
    waiting = api.stored_task(task_id="waiting")
    running = api.claimed_task(task_id="running")
    checkpoint = f"{running.folder}checkpoints/0.safetensors"
    api.images.objects[checkpoint] = b"where the next attempt goes on"
    api.clock.advance(400 * 86_400)
    assert removed(api) == 0
    assert {task.id for task in api.store.all_tasks} == {waiting.id, running.id}
    assert list(api.images.objects) == [checkpoint]
    assert api.client.get("/v1/tasks/waiting").get_json()["expires_at"] is None


def test_a_retry_saves_a_task_from_its_end(api: Api) -> None:
    task = api.stored_task()
    assert api.client.post(f"/v1/tasks/{task.id}/cancel").get_json()["expires_at"] is not None
    api.clock.advance(KEPT.total_seconds() - 1)
    assert api.client.post(f"/v1/tasks/{task.id}/retry").get_json()["expires_at"] is None
    api.clock.advance(10)
    assert removed(api) == 0


def test_a_retry_in_the_last_moment_keeps_the_task_and_its_objects(api: Api) -> None:
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


def test_more_than_a_page_is_removed_in_one_round(api: Api) -> None:
    for number in range(250):
        api.stored_task(task_id=f"task-{number}")
        api.client.post(f"/v1/tasks/task-{number}/cancel")
    api.clock.advance(KEPT.total_seconds() + 1)
    assert removed(api) == 250


def test_nobody_else_may_call(api: Api) -> None:
    assert api.client.post("/internal/remove-expired").status_code == 401
