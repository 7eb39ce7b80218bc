"""Image downloads, and generation in one call."""

import hashlib
import os
from pathlib import Path

import httpx
import pytest

from darkroom.errors import (
    DamagedImageError,
    TaskCancelledError,
    TaskFailedError,
    UnexpectedResponseError,
)
from darkroom.models.task import Task
from darkroom.resources.generation import generate
from darkroom.resources.images import images, preview
from scripted import ScriptedApi, problem, reply, task_json

PNG = b"\x89PNG, as far as these tests go"
STORED = {
    "index": 0, "url": "/v1/tasks/task-1/images/0", "width": 256, "height": 256, "seed": 12_345,
    "content_type": "image/png", "size_bytes": len(PNG), "sha256": hashlib.sha256(PNG).hexdigest(),
}  # fmt: skip
COMPLETED = task_json("completed", images=[STORED])


def test_images_are_fetched_from_the_api_and_saved(api: ScriptedApi, tmp_path: Path) -> None:
    recording = api.run(images(api.calls, Task.model_validate(COMPLETED)), httpx.Response(200, content=PNG))
    (image,) = recording.result
    assert image.content == PNG
    path = image.save(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "darkroom-task-1-0.png"
    assert path.read_bytes() == PNG
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_images_reads_an_unfinished_task_again(api: ScriptedApi) -> None:
    early = Task.model_validate(task_json())
    assert api.run(images(api.calls, early), reply(COMPLETED), httpx.Response(200, content=PNG)).result


def test_save_gives_the_file_the_usual_mode(api: ScriptedApi, tmp_path: Path) -> None:
    recording = api.run(images(api.calls, Task.model_validate(COMPLETED)), httpx.Response(200, content=PNG))
    other = tmp_path / "other"
    other.touch()
    assert recording.result[0].save(tmp_path).stat().st_mode == other.stat().st_mode


def test_save_leaves_the_umask_of_the_process_alone(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = api.run(images(api.calls, Task.model_validate(COMPLETED)), httpx.Response(200, content=PNG))

    def change(mask: int) -> int:
        raise AssertionError(f"for a moment, other threads create files with the umask {mask:o}")

    monkeypatch.setattr(os, "umask", change)
    assert recording.result[0].save(tmp_path).read_bytes() == PNG


def test_failed_save_leaves_no_file(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = api.run(images(api.calls, Task.model_validate(COMPLETED)), httpx.Response(200, content=PNG))

    def fail(_self: Path, _target: Path) -> None:
        raise OSError("full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        recording.result[0].save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_follows_a_signed_link_without_credentials(api: ScriptedApi) -> None:
    link = "https://storage.example/bucket/0.png?signature=abc"
    recording = api.run(
        images(api.calls, "task-1"),
        reply(COMPLETED),
        httpx.Response(302, headers={"Location": link}),
        httpx.ConnectError("not at once"),
        httpx.Response(200, content=PNG),
    )
    assert recording.result[0].content == PNG
    read, redirected, *fetched = recording.requests
    assert all("Authorization" in request.headers for request in (read, redirected))
    assert {str(request.url) for request in fetched} == {link}
    assert not any("Authorization" in request.headers for request in fetched)


@pytest.mark.parametrize("task_id", ["../x", "a/../../x", "..\\x", "C:x", "a\x1b[2Jb"])
def test_file_stays_in_its_folder_whatever_id_the_server_sends(
    api: ScriptedApi, tmp_path: Path, task_id: str
) -> None:
    folder = tmp_path / "pictures"
    (folder / "darkroom-a").mkdir(parents=True)
    (folder / "darkroom-..").mkdir()
    task = Task.model_validate({**COMPLETED, "id": task_id})
    (image,) = api.run(images(api.calls, task), httpx.Response(200, content=PNG)).result
    path = image.save(folder)
    assert path.parent == folder
    assert not set(path.name) & set("/\\:\x1b")
    assert path.read_bytes() == PNG


@pytest.mark.parametrize("headers", [{}, {"Location": "https://storage.example:port/0.png"}])
def test_redirect_without_a_link_is_no_response_of_darkroom(
    api: ScriptedApi, headers: dict[str, str]
) -> None:
    task = Task.model_validate(COMPLETED)
    with pytest.raises(UnexpectedResponseError, match="unexpected response with status 302"):
        api.run(images(api.calls, task), httpx.Response(302, headers=headers))


def test_images_raises_when_the_checksum_differs(api: ScriptedApi) -> None:
    with pytest.raises(DamagedImageError, match="image 0 of task task-1 was damaged in transit"):
        api.run(images(api.calls, Task.model_validate(COMPLETED)), httpx.Response(200, content=PNG[:-1]))


def test_generate_submits_waits_and_fetches(api: ScriptedApi) -> None:
    recording = api.run(
        generate(api.calls, "a large red circle", {}, idempotency_key=None, timeout_seconds=None),
        reply(task_json(), 202),
        reply(COMPLETED),
        httpx.Response(200, content=PNG),
    )
    assert (recording.result.task.status, recording.result.images[0].content) == ("completed", PNG)


def test_generate_does_not_wait_for_a_finished_task(api: ScriptedApi) -> None:
    operation = generate(api.calls, "x", {}, idempotency_key="k", timeout_seconds=None)
    assert api.run(operation, reply(COMPLETED), httpx.Response(200, content=PNG)).result.images


def test_generate_raises_when_the_task_fails_or_is_cancelled(api: ScriptedApi) -> None:
    failure = {"code": "out_of_gpu_memory", "message": "too large", "retryable": False}
    operation = generate(api.calls, "x", {}, idempotency_key=None, timeout_seconds=None)
    with pytest.raises(
        TaskFailedError, match=r"task task-1 failed: too large \(out_of_gpu_memory\)"
    ) as failed:
        api.run(operation, reply(task_json("failed", failure=failure)))
    assert failed.value.task.failure is not None
    operation = generate(api.calls, "x", {}, idempotency_key=None, timeout_seconds=None)
    with pytest.raises(TaskCancelledError):
        api.run(operation, reply(task_json("cancelled")))


def test_preview_returns_bytes_or_none(api: ScriptedApi) -> None:
    assert api.run(preview(api.calls, "task-1", 1), httpx.Response(200, content=b"jpeg")).result == b"jpeg"
    assert api.run(preview(api.calls, "task-1", 1), problem("image_not_found", 404)).result is None
    assert {request.url.path for request in api.recording.requests} == {"/v1/tasks/task-1/previews/1"}
