"""The answers to callers about a task with some of its images."""

from datetime import timedelta
from typing import Any

import pytest

from common.domain.task import AttemptOutput, FailedImage, RunSeconds, Task
from tests.factories import claim_of, parameters, spent, stored_image
from tests.recorded_telemetry import CountedMetrics, labelled
from tests.unit.frontend_api.conftest import PNG, Api

TTL = timedelta(seconds=60)
REFUSED = FailedImage(index=1, code="content_filtered", message="The safety checker refused the picture.")


def with_one_image(api: Api) -> Task:
    """Return a processing task of two images of which the first is finished."""
    task = api.claimed_task(parameters=parameters(num_images=2))
    image = stored_image(task)
    api.images.objects[image.object_name] = PNG
    output = AttemptOutput(images=(image,), runs=(RunSeconds(index=0, gpu_seconds=1.5),))
    return renewed(api, task, output)


def renewed(api: Api, task: Task, output: AttemptOutput) -> Task:
    return api.store.update(task.id, lambda t: t.renewed(claim_of(t), api.clock.now(), TTL, output=output))


def answered(api: Api, task: Task) -> dict[str, Any]:
    answer: dict[str, Any] = api.client.get(f"/v1/tasks/{task.id}").get_json()
    return answer


def test_finished_image_of_a_processing_task_is_served(api: Api) -> None:
    task = with_one_image(api)
    found = answered(api, task)
    assert (found["status"], [image["index"] for image in found["images"]]) == ("processing", [0])
    assert api.client.get(found["images"][0]["url"]).data == PNG
    assert api.client.get(f"/v1/tasks/{task.id}/images/1").status_code == 404


def test_cancelled_task_serves_and_bills_its_finished_images(api: Api) -> None:
    task = with_one_image(api)
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    api.store.update(task.id, lambda t: t.cancelled_by_holder(claim_of(t), api.clock.now()))
    found = answered(api, task)
    assert (found["status"], len(found["images"])) == ("cancelled", 1)
    assert (found["metrics"]["gpu_seconds"], found["metrics"]["wasted_gpu_seconds"]) == (1.5, 0.0)
    assert api.client.get(found["images"][0]["url"]).data == PNG


def test_task_lists_its_failed_images_and_can_be_retried(api: Api) -> None:
    task = with_one_image(api)
    api.store.update(
        task.id, lambda t: t.completed(claim_of(t), (), api.clock.now(), failed_images=(REFUSED,))
    )
    found = answered(api, task)
    assert (found["status"], found["failed_images"]) == (
        "completed",
        [{"index": 1, "code": REFUSED.code, "message": REFUSED.message}],
    )
    assert found["history"][0]["gpu_seconds"] == 1.5

    again = api.client.post(f"/v1/tasks/{task.id}/retry")
    assert (again.status_code, again.get_json()["failed_images"]) == (202, [])
    assert [image["index"] for image in again.get_json()["images"]] == [0]
    assert api.stored(task.id).missing_images == (1,)


@pytest.fixture
def counted() -> CountedMetrics:
    return CountedMetrics()


def test_wasted_seconds_are_counted_when_the_api_finishes_the_task(api: Api, counted: CountedMetrics) -> None:
    task = api.claimed_task()
    api.store.update(task.id, lambda t: t.handed_back(claim_of(t), api.clock.now(), output=spent(29.6)))
    assert answered(api, task)["metrics"]["wasted_gpu_seconds"] == 0.0
    api.client.post(f"/v1/tasks/{task.id}/cancel")
    assert answered(api, task)["metrics"]["wasted_gpu_seconds"] == 29.6
    assert counted.of("darkroom.gpu.time") == {labelled(model="demo", use="cancelled"): 29.6}
    total = api.client.get("/v1/usage").get_json()["total"]
    assert (total["gpu_seconds"], total["wasted_gpu_seconds"]) == (0.0, 29.6)


def test_usage_keeps_the_seconds_of_a_deleted_task(api: Api) -> None:
    task = with_one_image(api)
    output = AttemptOutput(runs=(RunSeconds(index=0, gpu_seconds=1.5), RunSeconds(index=1, gpu_seconds=0.25)))
    renewed(api, task, output)
    api.client.delete(f"/v1/tasks/{task.id}")
    total = api.client.get("/v1/usage").get_json()["total"]
    assert (total["gpu_seconds"], total["wasted_gpu_seconds"]) == (1.5, 0.25)
