"""Image downloads: which host gets which credentials, and whether the data is complete."""

import hashlib
from pathlib import Path

import httpx
import pytest

from darkroom.errors import DamagedImageError, TaskCancelledError, TaskFailedError
from darkroom.models.task import Task
from darkroom.resources.generation import generate
from darkroom.resources.images import images, preview
from scripted import Stage, answer, problem, task_json

PNG = b"\x89PNG, as far as these tests go"
STORED = {
    "index": 0, "url": "/v1/tasks/task-1/images/0", "width": 256, "height": 256, "seed": 12_345,
    "content_type": "image/png", "size_bytes": len(PNG), "sha256": hashlib.sha256(PNG).hexdigest(),
}  # fmt: skip
DRAWN = task_json("completed", images=[STORED])


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_bytes_come_from_the_api_where_nothing_can_sign(stage: Stage, tmp_path: Path) -> None:
    played = stage.play(images(stage.calls, Task.model_validate(DRAWN)), httpx.Response(200, content=PNG))
    (image,) = played.result
    assert image.content == PNG
    path = image.save(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "darkroom-task-1-0.png"
    assert path.read_bytes() == PNG
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_snapshot_from_before_the_end_is_not_believed(stage: Stage) -> None:
    early = Task.model_validate(task_json())
    assert stage.play(images(stage.calls, early), answer(DRAWN), httpx.Response(200, content=PNG)).result


def test_a_file_has_the_rights_of_any_other(stage: Stage, tmp_path: Path) -> None:
    played = stage.play(images(stage.calls, Task.model_validate(DRAWN)), httpx.Response(200, content=PNG))
    other = tmp_path / "other"
    other.touch()
    assert played.result[0].save(tmp_path).stat().st_mode == other.stat().st_mode


def test_a_signed_link_is_followed_without_credentials(stage: Stage) -> None:
    link = "https://storage.example/bucket/0.png?signature=abc"
    played = stage.play(
        images(stage.calls, "task-1"),
        answer(DRAWN),
        httpx.Response(302, headers={"Location": link}),
        httpx.ConnectError("not at once"),
        httpx.Response(200, content=PNG),
    )
    assert played.result[0].content == PNG
    read, asked, *fetched = played.requests
    assert all("Authorization" in request.headers for request in (read, asked))
    assert {str(request.url) for request in fetched} == {link}
    assert not any("Authorization" in request.headers for request in fetched)


def test_damage_is_noticed(stage: Stage) -> None:
    with pytest.raises(DamagedImageError, match="image 0 of task task-1 arrived damaged"):
        stage.play(images(stage.calls, Task.model_validate(DRAWN)), httpx.Response(200, content=PNG[:-1]))


def test_from_a_prompt_to_its_pictures(stage: Stage) -> None:
    played = stage.play(
        generate(stage.calls, "a large red circle", {}, idempotency_key=None, timeout_seconds=None),
        answer(task_json(), 202),
        answer(DRAWN),
        httpx.Response(200, content=PNG),
    )
    assert (played.result.task.status, played.result.images[0].content) == ("completed", PNG)


def test_a_replayed_task_that_has_ended_is_not_waited_for(stage: Stage) -> None:
    flow = generate(stage.calls, "x", {}, idempotency_key="k", timeout_seconds=None)
    assert stage.play(flow, answer(DRAWN), httpx.Response(200, content=PNG)).result.images


def test_a_task_that_ended_without_images_says_why(stage: Stage) -> None:
    failure = {"code": "out_of_gpu_memory", "message": "too large", "retryable": False}
    flow = generate(stage.calls, "x", {}, idempotency_key=None, timeout_seconds=None)
    with pytest.raises(
        TaskFailedError, match=r"task task-1 failed: too large \(out_of_gpu_memory\)"
    ) as failed:
        stage.play(flow, answer(task_json("failed", failure=failure)))
    assert failed.value.task.failure is not None
    flow = generate(stage.calls, "x", {}, idempotency_key=None, timeout_seconds=None)
    with pytest.raises(TaskCancelledError):
        stage.play(flow, answer(task_json("cancelled")))


def test_a_preview_is_there_or_not(stage: Stage) -> None:
    assert (
        stage.play(preview(stage.calls, "task-1", 1), httpx.Response(200, content=b"jpeg")).result == b"jpeg"
    )
    assert stage.play(preview(stage.calls, "task-1", 1), problem("image_not_found", 404)).result is None
    assert {request.url.path for request in stage.played.requests} == {"/v1/tasks/task-1/previews/1"}
