"""Cancel, retry and delete."""

from common.domain.task import TaskStatus
from tests.unit.frontend_api.conftest import Api


def test_a_waiting_task_is_cancelled_at_once(api: Api) -> None:
    task = api.stored_task()
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")


def test_a_worker_is_asked_to_stop(api: Api) -> None:
    task = api.claimed_task()
    for _ in range(2):
        answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
        assert (answer.status_code, answer.get_json()["status"]) == (202, "processing")
        assert answer.get_json()["cancel_requested_at"] is not None


def test_cancelling_what_has_ended_changes_nothing(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "completed")
    assert api.stored(task.id).revision == task.revision


def test_a_cancelled_task_can_be_retried_with_its_id_and_seed(api: Api) -> None:
    task = api.stored_task()
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    answer = api.client.post(f"/v1/tasks/{task.id}/retry")
    assert (answer.status_code, answer.get_json()["status"]) == (202, "queued")
    assert api.stored(task.id).parameters == task.parameters
    assert api.stored(task.id).enqueued_at is not None
    assert [published.id for published in api.queue.published] == [task.id]


def test_what_is_not_over_or_went_well_cannot_be_retried(api: Api) -> None:
    for task in (api.stored_task(task_id="waiting"), api.completed_task(task_id="done")):
        answer = api.client.post(f"/v1/tasks/{task.id}/retry")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "invalid_transition")
    assert not api.queue.published


def test_a_retry_that_cannot_be_published_is_kept_for_rescue(api: Api) -> None:
    task = api.stored_task()
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    api.queue.unavailable = True
    answer = api.client.post(f"/v1/tasks/{task.id}/retry")
    assert (answer.status_code, answer.get_json()["task_id"]) == (503, task.id)
    api.queue.unavailable = False
    api.clock.advance(60)
    assert api.rescue().get_json()["published"] == 1


def test_a_deleted_task_leaves_nothing(api: Api) -> None:
    task = api.completed_task()
    api.images.objects["tasks/task-10/attempt-1/0.png"] = b"somebody else's"
    answer = api.client.delete(f"/v1/tasks/{task.id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert not api.store.all_tasks
    assert list(api.images.objects) == ["tasks/task-10/attempt-1/0.png"]
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 404


def test_a_running_task_can_be_deleted(api: Api) -> None:
    task = api.claimed_task()
    api.images.objects[f"tasks/{task.id}/attempt-1/0.png"] = b"half of it"
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert not api.store.all_tasks
    assert not api.images.objects


def test_a_deletion_that_cannot_reach_the_bucket_can_be_repeated(api: Api) -> None:
    task = api.completed_task()
    api.images.unavailable = True
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 503
    assert api.stored(task.id).status is TaskStatus.COMPLETED
    api.images.unavailable = False
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
