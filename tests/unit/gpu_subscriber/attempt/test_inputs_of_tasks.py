"""The pictures of a task: read and decoded before its generation, or the task fails with a sentence."""

import io

import pytest
from PIL import Image

from common.domain.inputs import input_object_name
from common.domain.task import Task, TaskStatus
from gpu_subscriber.engine.messages import Picture
from gpu_subscriber.ports import Settlement
from tests.factories import parameters
from tests.fakes.worker_bench import WorkerBench

PICTURE, MASK, CONTROL = "ab" * 32, "cd" * 32, "ef" * 32


@pytest.fixture
def bench() -> WorkerBench:
    return WorkerBench()


def submitted(bench: WorkerBench, *, num_images: int = 1) -> Task:
    """Submit a task that starts from a picture with a mask."""
    fields = {"image": PICTURE, "mask_image": MASK, "strength": 0.5}
    asked = parameters(num_images=num_images, width=64, height=128).model_copy(update=fields)
    return bench.submit(parameters=asked)


def upload(bench: WorkerBench, task: Task, picture_id: str, data: bytes) -> None:
    bench.inputs.objects[input_object_name(task.user_id, picture_id)] = data


def png(color: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (8, 8), color).save(file, "PNG")
    return file.getvalue()


def test_generation_gets_the_pictures_in_the_size_of_the_images(bench: WorkerBench) -> None:
    task = submitted(bench)
    upload(bench, task, PICTURE, png("red"))
    upload(bench, task, MASK, png("white", "L"))
    assert bench.deliver(task) == (Settlement.ACKNOWLEDGE, TaskStatus.COMPLETED)
    (generation,) = bench.generator.generations
    assert generation.inputs == {
        "image": Picture(width=64, height=128, pixels=b"\xff\0\0" * 64 * 128),
        "mask_image": Picture(width=64, height=128, pixels=b"\xff" * 64 * 128),
    }


def test_generation_gets_the_control_image(bench: WorkerBench) -> None:
    fields = {"control_image": CONTROL, "controlnet": "edges", "control_scale": 1.0}
    task = bench.submit(parameters=parameters(width=64, height=64).model_copy(update=fields))
    upload(bench, task, CONTROL, png("white", "L"))
    assert bench.deliver(task) == (Settlement.ACKNOWLEDGE, TaskStatus.COMPLETED)
    white = Picture(width=64, height=64, pixels=b"\xff\xff\xff" * 64 * 64)
    assert bench.generator.generations[0].inputs == {"control_image": white}


def test_task_without_pictures_reads_nothing(bench: WorkerBench) -> None:
    bench.inputs.unavailable = True
    task = bench.submit()
    assert bench.deliver(task) == (Settlement.ACKNOWLEDGE, TaskStatus.COMPLETED)
    assert bench.generator.generations[0].inputs == {}


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (b"no picture", "`mask_image`: the file must be a PNG, JPEG or WebP"),
        (None, "`mask_image`: the picture was deleted; upload it again"),
        (bytes(200_000), "`mask_image`: the file is larger than 100,000 bytes"),
    ],
)
def test_unusable_picture_fails_the_task_without_retry(
    bench: WorkerBench, mask: bytes | None, reason: str
) -> None:
    task = submitted(bench)
    upload(bench, task, PICTURE, png("red"))
    if mask is not None:
        upload(bench, task, MASK, mask)
    assert bench.deliver(task) == (Settlement.ACKNOWLEDGE, TaskStatus.FAILED)
    failure = bench.store.get(task.id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("invalid_input", False)
    assert failure.message == f"An input picture cannot be used: {reason}."
    assert bench.generator.generations == []


def test_unavailable_bucket_requeues_the_task(bench: WorkerBench) -> None:
    task = submitted(bench)
    bench.inputs.unavailable = True
    assert bench.deliver(task) == (Settlement.RETURN, TaskStatus.QUEUED)
    upload(bench, task, PICTURE, png("red"))
    upload(bench, task, MASK, png("white", "L"))
    bench.inputs.unavailable = False
    assert bench.deliver(task) == (Settlement.ACKNOWLEDGE, TaskStatus.COMPLETED)
