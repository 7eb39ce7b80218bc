"""The main use case from end to end: a prompt in, an image out, with progress."""

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from common.domain.task import Phase, TaskStatus
from gpu_subscriber.errors import UnreadableImageError
from gpu_subscriber.images.encoding import read_record
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large red circle on a white background"


def test_prompt_becomes_the_image_that_the_task_describes(system: System) -> None:
    task = system.client.completed(PROMPT, seed=7)
    body = system.client.image(task.id)
    stored = task.images[0]
    assert hashlib.sha256(body).hexdigest() == stored.sha256
    assert (stored.seed, stored.width, stored.height, stored.content_type) == (7, 256, 256, "image/png")
    picture = Image.open(io.BytesIO(body))
    assert picture.size == (256, 256)
    centre = picture.convert("RGB").getpixel((128, 128))
    corner = picture.convert("RGB").getpixel((4, 4))
    assert isinstance(centre, tuple)
    assert isinstance(corner, tuple)
    red, green, blue = centre
    assert red > 150 > max(green, blue), "the centre of a large red circle is red"
    assert min(corner) > 200, "the background is white"


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp", "avif"])
def test_image_file_contains_its_parameters(system: System, output_format: str) -> None:
    task = system.client.completed(PROMPT, seed=3, steps=4, output_format=output_format)
    written = read_record(system.client.image(task.id))
    asked = written.parameters
    assert (asked.prompt, asked.seed, asked.steps) == (PROMPT, 3, 4)
    assert written.provenance == task.images[0].provenance
    assert task.images[0].content_type == f"image/{output_format}"


def test_file_without_metadata_contains_only_the_image(system: System) -> None:
    chosen = {"output_format": "webp", "output_quality": 100, "metadata": "none"}
    task = system.client.completed(PROMPT, seed=3, steps=4, **chosen)
    provenance = task.images[0].provenance
    assert provenance is not None
    with pytest.raises(UnreadableImageError):
        read_record(system.client.image(task.id))
    with Image.open(io.BytesIO(system.client.image(task.id))) as image:
        pixels = image.convert("RGB").tobytes()
    assert hashlib.sha256(pixels).hexdigest() == provenance.pixels_sha256 == provenance.decoded_sha256


def test_same_seed_gives_the_same_image_alone_and_batched(system: System) -> None:
    alone = system.client.completed(PROMPT, seed=11, steps=6)
    both = system.client.completed(PROMPT, seed=10, steps=6, num_images=2)
    assert [image.seed for image in both.images] == [10, 11]
    first = Image.open(io.BytesIO(system.client.image(alone.id))).convert("RGB").tobytes()
    second = Image.open(io.BytesIO(system.client.image(both.id, 1))).convert("RGB").tobytes()
    # Float sums differ in their last bits between batch sizes, so a level may be rounded otherwise.
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) <= 1


def test_progress_and_previews_are_stored_during_generation(system: System) -> None:
    with system.held_engine(steps=50):
        task_id = system.client.submit(PROMPT, steps=100)
        task = system.client.wait_until(task_id, lambda task: task.progress.step >= 50)
        assert (task.status, task.progress.phase) == (TaskStatus.PROCESSING, Phase.DENOISING)
        (preview,) = task.previews
        assert Image.open(io.BytesIO(preview.jpeg)).format == "JPEG"
    ended = system.client.wait_for_end(task_id)
    assert (ended.status, ended.previews) == (TaskStatus.COMPLETED, ())


def test_mixed_tasks_each_complete_with_their_own_image(system: System) -> None:
    samplers = ["ddim", "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_karras", "unipc", "lcm", "pndm"]
    ids = [
        system.client.submit(
            PROMPT,
            sampler=sampler,
            seed=seed,
            steps=5 + seed,
            guidance_scale=float(seed % 4),
            width=64,
            height=64,
        )
        for seed, sampler in enumerate(samplers * 2)
    ]
    ended = system.client.wait_for_all(ids)
    assert {task.status for task in ended.values()} == {TaskStatus.COMPLETED}
    assert len({task.images[0].sha256 for task in ended.values()}) == len(ids)
    assert {task.attempt for task in ended.values()} == {1}


def test_running_task_is_cancelled_at_the_next_step(system: System) -> None:
    with system.held_engine(steps=5):
        task_id = system.client.submit(PROMPT, steps=100)
        system.client.wait_until_drawn(task_id, step=5)
        answer = system.client.http.post(f"/v1/tasks/{task_id}/cancel")
        assert answer.status_code == 202
        ended = system.client.wait_for_end(task_id)
    assert (ended.status, ended.images) == (TaskStatus.CANCELLED, ())
    assert system.client.http.post(f"/v1/tasks/{task_id}/cancel").status_code == 200


def test_deleted_task_is_removed_with_its_images(system: System) -> None:
    task = system.client.completed(PROMPT, steps=2)
    name = task.images[0].object_name
    bucket = f"{system.stack.environment['STORAGE_EMULATOR_HOST']}/darkroom-images"
    assert httpx.get(f"{bucket}/{name}").status_code == 200
    assert system.client.http.delete(f"/v1/tasks/{task.id}").status_code == 204
    assert system.client.http.get(f"/v1/tasks/{task.id}").status_code == 404
    assert httpx.get(f"{bucket}/{name}").status_code == 404


def test_concurrent_requests_with_one_key_create_one_task(system: System) -> None:
    together = threading.Barrier(50)

    def submit(_number: int) -> httpx.Response:
        together.wait(120)
        return system.client.http.post(
            "/v1/tasks", json={"prompt": PROMPT, "steps": 1}, headers={"Idempotency-Key": "burst-1"}
        )

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(submit, range(50)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert [answer.status_code for answer in answers].count(202) == 1
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 1
    assert system.client.wait_for_end(ids.pop()).attempt == 1


def test_rejected_body_creates_no_task(system: System) -> None:
    before = system.client.http.get("/v1/tasks", params={"page_size": 100}).json()
    answer = system.client.http.post("/v1/tasks", json={"prompt": PROMPT, "steps": 5000})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"] == [{"pointer": "/steps", "detail": "must be between 1 and 100, got 5000"}]
    assert system.client.http.get("/v1/tasks", params={"page_size": 100}).json() == before
