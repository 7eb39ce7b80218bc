"""The pictures of a task: read and decoded before its generation, or the task fails with a sentence."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from common.domain.inputs import input_object_name
from common.domain.task import Task, TaskStatus
from gpu_subscriber.engine.messages import Picture
from gpu_subscriber.images import inputs
from gpu_subscriber.ports import Settlement
from tests.factories import parameters, submitted_task
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


def test_picture_does_not_wait_for_all_pictures_of_another_caller(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    is_decoding, may_decode, reads = threading.Event(), threading.Event(), threading.Semaphore(0)

    def decode(data: bytes, _size: tuple[int, int], /, *, max_pixels: int) -> Picture:
        is_decoding.set()
        assert may_decode.wait(60)
        decoded.append(data)
        return Picture(width=1, height=1, pixels=bytes(3))

    def read(object_name: str, **_limits: int) -> bytes:
        reads.release()
        return object_name.encode()

    monkeypatch.setitem(inputs._DECODERS, "image", decode)
    monkeypatch.setattr(bench.inputs, "read", read)
    of = bench.worker().inputs.of
    asked = parameters().model_copy(update={"image": PICTURE, "strength": 0.5})
    with ThreadPoolExecutor(10) as threads:
        many = [submitted_task(task_id=f"many-{n}", user_id="many", parameters=asked) for n in range(9)]
        waiting = [threads.submit(of, task) for task in many]
        assert is_decoding.wait(60)
        for _ in many:
            assert reads.acquire(timeout=60)
        waiting.append(threads.submit(of, submitted_task(user_id="single", parameters=asked)))
        assert reads.acquire(timeout=60)
        may_decode.set()
        assert all(future.result(60) for future in waiting)
    place = decoded.index(input_object_name("single", PICTURE).encode())
    assert place < 5  # behind one or two of the others, usually
