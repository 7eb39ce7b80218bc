"""Finished images of a task stay when workers stop or crash and owners cancel."""

from http import HTTPStatus

import pytest

from common.domain.task import Task, TaskStatus
from tests.chaos.rig import Rig
from tests.chaos.stand_in_engine import REFUSED, SEQUENTIAL, STEP_SECONDS

pytestmark = pytest.mark.chaos
MAY_LACK_IMAGES = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})


def submit_four(rig: Rig, prompt: str = "a large red circle", **fields: object) -> str:
    return rig.submit(f"{prompt}, {SEQUENTIAL}", num_images=4, seed=7, steps=20, **fields)


def submit_and_wait_for_two(rig: Rig) -> str:
    """Submit a task to a worker that generates two of its images; wait for them, and return its id."""
    rig.hold(images=2)
    task_id = submit_four(rig)
    task = rig.wait_until(task_id, lambda found: len(found.images) == 2)
    assert task.status is TaskStatus.PROCESSING
    return task_id


def attempts_of(task: Task) -> dict[int, int]:
    """Return the attempt that stored each image."""
    return {image.index: int(image.object_name.split("attempt-")[1].split("/")[0]) for image in task.images}


def total_usage(rig: Rig) -> tuple[float, float]:
    total = rig.client.http.get("/v1/usage").json()["total"]
    return total["gpu_seconds"], total["wasted_gpu_seconds"]


def test_task_keeps_its_images_and_names_the_failed_one(rig: Rig) -> None:
    rig.start_worker()
    task_id = submit_four(rig, f"{REFUSED} 2", permitted=MAY_LACK_IMAGES)
    task = rig.verify()[task_id]
    assert (task.status, sorted(attempts_of(task))) == (TaskStatus.COMPLETED, [0, 1, 3])
    assert [(image.index, image.code) for image in task.failed_images] == [(2, "content_filtered")]
    assert rig.client.http.get(f"/v1/tasks/{task_id}/images/3").is_success
    assert rig.client.http.get(f"/v1/tasks/{task_id}/images/2").status_code == HTTPStatus.NOT_FOUND


def test_finished_images_survive_a_cancellation(rig: Rig) -> None:
    rig.start_worker()
    task_id = submit_and_wait_for_two(rig)
    early = [rig.client.image(task_id, index) for index in (0, 1)]
    rig.cancel(task_id)
    task = rig.verify()[task_id]
    assert task.status is TaskStatus.CANCELLED
    assert [rig.client.image(task_id, index) for index in (0, 1)] == early
    assert task.usage.gpu_seconds == pytest.approx(20 * STEP_SECONDS * len(task.images))


def test_images_of_a_killed_worker_are_reused(rig: Rig) -> None:
    victim = rig.start_worker()
    task_id = submit_and_wait_for_two(rig)
    victim.kill()
    rig.start_worker()
    task = rig.verify()[task_id]
    assert (task.status, attempts_of(task)[0], attempts_of(task)[1]) == (TaskStatus.COMPLETED, 1, 1)
    assert attempts_of(task)[3] == 2
    generated_alone = rig.submit(f"a large red circle, {SEQUENTIAL}", seed=10, steps=20)
    rig.verify()
    assert rig.pixels(task_id, 3) == rig.pixels(generated_alone)


def test_stopped_worker_hands_over_images_and_usage(rig: Rig) -> None:
    useful_before, wasted_before = total_usage(rig)
    first = rig.start_worker(DARKROOM_DRAIN_DEADLINE_SECONDS=0)
    task_id = submit_and_wait_for_two(rig)
    assert first.stop() == 0
    handed_back = rig.wait_until(task_id, lambda found: found.status is TaskStatus.QUEUED)
    spent = handed_back.history[0].gpu_seconds
    assert spent is not None
    assert spent >= 2 * 20 * STEP_SECONDS
    rig.start_worker()
    task = rig.verify()[task_id]
    assert (attempts_of(task)[0], attempts_of(task)[3]) == (1, 2)
    assert task.usage.gpu_seconds is not None
    assert task.usage.gpu_seconds > spent
    assert task.usage.wasted_gpu_seconds == 0.0, "the next attempt must resume from the checkpoint"
    useful, wasted = total_usage(rig)
    assert useful - useful_before == pytest.approx(task.usage.gpu_seconds, abs=0.002)
    assert wasted == wasted_before
