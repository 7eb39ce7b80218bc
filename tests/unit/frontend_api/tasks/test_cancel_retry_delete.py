"""Cancel, retry, label and delete."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from common.domain.errors import TaskNotFoundError
from common.domain.task import Failure, TaskStatus
from tests.factories import claim_of
from tests.unit.frontend_api.conftest import PNG, Api, stored_image


def test_cancel_finishes_a_queued_task_at_once(api: Api) -> None:
    task = api.stored_task()
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")


def test_cancel_sets_a_flag_when_a_worker_holds_the_task(api: Api) -> None:
    task = api.claimed_task()
    for _ in range(2):
        answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
        assert (answer.status_code, answer.get_json()["status"]) == (202, "processing")
        assert answer.get_json()["cancel_requested_at"] is not None


def test_cancel_changes_nothing_when_the_task_is_finished(api: Api) -> None:
    task = api.completed_task()
    answer = api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "completed")
    assert api.stored(task.id).revision == task.revision


def test_retry_keeps_id_and_seed_of_a_cancelled_task(api: Api) -> None:
    task = api.stored_task()
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    answer = api.client.post(f"/v1/tasks/{task.id}/retry")
    assert (answer.status_code, answer.get_json()["status"]) == (202, "queued")
    assert api.stored(task.id).parameters == task.parameters
    assert api.stored(task.id).enqueued_at is not None
    assert [published.id for published in api.queue.published] == [task.id]


def test_retry_restores_the_attempts_and_continues_their_numbers(api: Api) -> None:
    task = api.claimed_task(attempts=1)
    failure = Failure(code="out_of_gpu_memory", message="The image does not fit.", retryable=False)
    api.store.update(task.id, lambda t: t.failed(claim_of(t), failure, api.clock.now()))
    answer = api.client.post(f"/v1/tasks/{task.id}/retry").get_json()
    assert (answer["status"], answer["failure"], answer["expires_at"]) == ("queued", None, None)
    assert (api.stored(task.id).attempt, api.stored(task.id).attempts_left) == (1, 4)
    again = api.store.update(task.id, lambda t: t.claimed_by("w", api.clock.now(), timedelta(seconds=60)))
    assert again.attempt == 2


def test_retried_task_still_matches_its_idempotency_key(api: Api) -> None:
    key = {"Idempotency-Key": "order-1815"}
    body = {"prompt": "a large red circle", "deadline_seconds": 60}
    first = api.client.post("/v1/tasks", json=body, headers=key)
    path = first.headers["Location"]
    api.clock.advance(1)
    api.client.post(f"{path}/cancel")
    assert api.client.post(f"{path}/retry").status_code == 202
    replayed = api.client.post("/v1/tasks", json=body, headers=key)
    assert (replayed.status_code, replayed.headers["Location"]) == (200, path)
    other = api.client.post("/v1/tasks", json={**body, "prompt": "a square"}, headers=key)
    assert other.get_json()["code"] == "idempotency_key_reused"


def test_retry_succeeds_once_when_many_run_at_once(api: Api) -> None:
    task = api.stored_task()
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    with ThreadPoolExecutor(4) as pool:
        path = f"/v1/tasks/{task.id}/retry"
        answers = list(pool.map(lambda _: api.app.test_client().post(path).status_code, range(8)))
    assert sorted(answers) == [202] + [409] * 7
    assert len(api.queue.published) == 1


def test_retry_is_refused_when_the_task_is_active_or_complete(api: Api) -> None:
    for task in (api.stored_task(task_id="waiting"), api.completed_task(task_id="done")):
        answer = api.client.post(f"/v1/tasks/{task.id}/retry")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "invalid_transition")
    assert not api.queue.published


def test_retry_is_left_to_rescue_when_publishing_fails(api: Api) -> None:
    task = api.stored_task()
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    api.queue.unavailable = True
    answer = api.client.post(f"/v1/tasks/{task.id}/retry")
    assert (answer.status_code, answer.get_json()["task_id"]) == (503, task.id)
    api.queue.unavailable = False
    api.clock.advance(60)
    assert api.rescue().get_json()["published"] == 1


def test_delete_removes_document_images_and_log(api: Api) -> None:
    task = api.completed_task()
    for name in ("attempt-1/1.png", "attempt-2/0.png", "checkpoints/0.safetensors"):
        api.images.objects[f"{task.folder}{name}"] = b"mine"
    api.images.objects["tasks/task-10/attempt-1/0.png"] = b"somebody else's"
    answer = api.client.delete(f"/v1/tasks/{task.id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert not api.store.all_tasks
    assert list(api.images.objects) == ["tasks/task-10/attempt-1/0.png"]
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 404


def test_delete_removes_a_processing_task(api: Api) -> None:
    task = api.claimed_task()
    api.images.objects[f"{task.folder}attempt-1/0.png"] = b"half of it"
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert not api.store.all_tasks
    assert not api.images.objects


def test_delete_removes_everything_when_a_completion_overtakes_it(api: Api) -> None:
    task = api.claimed_task()
    image = stored_image(task)
    remove = api.images.remove_folder

    def completed_meanwhile(folder: str) -> None:
        remove(folder)
        if task.id in {stored.id for stored in api.store.all_tasks}:
            api.images.objects[image.object_name] = PNG
            api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))

    api.images.remove_folder = completed_meanwhile  # type: ignore[method-assign]
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert (api.store.all_tasks, api.images.objects) == ((), {})
    with pytest.raises(TaskNotFoundError):  # the worker detects it at its next write
        api.store.update(task.id, lambda t: t.completed(claim_of(t), (image,), api.clock.now()))


def test_delete_removes_the_images_of_a_retry_that_overtakes_it(api: Api) -> None:
    task = api.claimed_task(attempts=1)
    failure = Failure(code="out_of_gpu_memory", message="The image does not fit.", retryable=False)
    api.store.update(task.id, lambda t: t.failed(claim_of(t), failure, api.clock.now()))
    remove = api.images.remove_folder
    retried: list[int] = []

    def retry_and_complete_after_the_first_removal(folder: str) -> None:
        remove(folder)
        if not retried:
            retried.append(api.app.test_client().post(f"/v1/tasks/{task.id}/retry").status_code)
            api.complete(api.claim(api.stored(task.id)))

    api.images.remove_folder = retry_and_complete_after_the_first_removal  # type: ignore[method-assign]
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert (retried, api.store.all_tasks, api.images.objects) == ([202], (), {})


def test_delete_can_be_repeated_when_the_bucket_is_unreachable(api: Api) -> None:
    task = api.completed_task()
    api.images.unavailable = True
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 503
    assert api.stored(task.id).status is TaskStatus.COMPLETED
    api.images.unavailable = False
    assert api.client.delete(f"/v1/tasks/{task.id}").status_code == 204


def test_label_sets_and_removes_labels_in_any_status(api: Api) -> None:
    task = api.completed_task(labels={"team": "a", "round": "1"})
    etag = api.client.get(f"/v1/tasks/{task.id}").headers["ETag"]
    change = {"labels": {"round": None, "kept": "yes"}}
    answer = api.client.post(f"/v1/tasks/{task.id}/labels", json=change)
    assert (answer.status_code, answer.get_json()["labels"]) == (200, {"team": "a", "kept": "yes"})
    assert api.stored(task.id).labels == {"team": "a", "kept": "yes"}
    assert answer.headers["ETag"] != etag


@pytest.mark.parametrize(
    ("labels", "pointer", "detail"),
    [
        ({f"label-{number}": "x" for number in range(16)}, "/labels", "a task has at most 16 labels, got 17"),
        ({"Bad Name": "x"}, "/labels/Bad Name", "must be 1 to 63 of the characters a-z, 0-9, _ and -"),
        ({"a": "x" * 101}, "/labels/a", "must have at most 100 characters"),
        ({}, "/labels", "must have at least 1"),
    ],
)
def test_invalid_label_change_is_refused(api: Api, labels: dict[str, str], pointer: str, detail: str) -> None:
    task = api.stored_task(labels={"team": "a"})
    answer = api.client.post(f"/v1/tasks/{task.id}/labels", json={"labels": labels})
    assert answer.status_code == 422
    (error,) = answer.get_json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail"].startswith(detail)
    assert api.stored(task.id).labels == {"team": "a"}
