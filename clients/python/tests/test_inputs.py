"""Uploads: of single pictures, and of those in the fields of submissions."""

import hashlib
import io
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from darkroom import Client, RetryPolicy
from darkroom.errors import ConfigurationError, InvalidRequestError, UnexpectedResponseError
from darkroom.models.stored_input import Input
from darkroom.pictures import PICTURE_FIELDS
from darkroom.resources import batches, inputs, tasks
from darkroom.resumable import PART_BYTES
from scripted import ScriptedApi, problem, reply, task_json

PICTURE = b"\xff\xd8\xff, a JPEG as far as the client can see"
ID = hashlib.sha256(PICTURE).hexdigest()


def input_json(picture: bytes = PICTURE) -> dict[str, Any]:
    digest = hashlib.sha256(picture).hexdigest()
    return {
        "id": digest, "content_type": "image/jpeg", "size_bytes": len(picture), "width": 64, "height": 48,
        "created_at": "2026-01-01T12:00:00Z", "expires_at": "2026-01-02T12:00:00Z",
        "url": f"/v1/inputs/{digest}/content",
    }  # fmt: skip


def sent(request: httpx.Request) -> tuple[str, str]:
    return request.method, request.url.path


@pytest.mark.parametrize("kind", [bytes, str, Path])
def test_upload_sends_the_bytes_of_a_file(api: ScriptedApi, tmp_path: Path, kind: type) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(PICTURE)
    source = PICTURE if kind is bytes else kind(file)
    recording = api.run(inputs.upload(api.calls, source), reply(input_json(), 201))
    (request,) = recording.requests
    assert sent(request) == ("POST", "/v1/inputs")
    assert (request.content, request.headers["Content-Type"]) == (PICTURE, "image/jpeg")
    assert isinstance(recording.result, Input)
    assert recording.result.id == ID


def test_upload_of_a_pillow_image_keeps_its_pixels(api: ScriptedApi) -> None:
    image = Image.new("RGBA", (7, 5), (1, 2, 3, 0))
    (request,) = api.run(inputs.upload(api.calls, image), reply(input_json())).requests
    assert request.headers["Content-Type"] == "image/png"
    with Image.open(io.BytesIO(request.content)) as received:
        assert (received.mode, received.tobytes()) == ("RGBA", image.tobytes())


def test_upload_is_retried(api: ScriptedApi) -> None:
    busy = problem("dependency_unavailable", 503, retryable=True)
    recording = api.run(inputs.upload(api.calls, PICTURE), busy, httpx.ReadError("x"), reply(input_json()))
    assert [request.content for request in recording.requests] == [PICTURE] * 3


def test_refused_picture_is_reported_before_the_submission(api: ScriptedApi) -> None:
    operation = tasks.submit(api.calls, "a circle", {"image": PICTURE}, None)
    with pytest.raises(InvalidRequestError, match="picture_damaged"):
        api.run(operation, problem("picture_damaged", 422))


def test_submission_uploads_its_pictures_first(api: ScriptedApi, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"\x89PNG")
    operation = tasks.submit(api.calls, "a circle", {"image": ID, "mask_image": mask, "strength": 0.5}, None)
    recording = api.run(operation, reply(input_json(b"\x89PNG")), reply(task_json(), 202))
    assert [sent(request) for request in recording.requests] == [
        ("POST", "/v1/inputs"),
        ("POST", "/v1/tasks"),
    ]
    body = json.loads(recording.requests[1].content)
    assert body == {
        "prompt": "a circle",
        "image": ID,
        "mask_image": hashlib.sha256(b"\x89PNG").hexdigest(),
        "strength": 0.5,
    }


@pytest.mark.parametrize("path", ["/home/ada/.ssh/id_ed25519", f"{ID}/", f"{ID}\n", ID.upper()])
def test_no_id_that_a_server_states_is_a_path(api: ScriptedApi, path: str) -> None:
    with pytest.raises(UnexpectedResponseError, match="id: "):
        api.run(inputs.upload(api.calls, PICTURE), reply({**input_json(), "id": path}))
    for field in PICTURE_FIELDS:
        task = task_json()
        task["parameters"][field] = path
        with pytest.raises(UnexpectedResponseError, match=f"parameters.{field}: "):
            api.run(tasks.get(api.calls, "task-1"), reply(task))


def test_batch_uploads_each_picture_once(api: ScriptedApi) -> None:
    items: Any = [{"prompt": "a", "image": PICTURE}, {"prompt": "b", "image": PICTURE}, {"prompt": "c"}]
    result = {"status": 202, "task": task_json(), "problem": None}
    recording = api.run(
        batches.submit_many(api.calls, items), reply(input_json()), reply({"results": [result] * 3})
    )
    assert len(recording.requests) == 2
    assert [item.get("image") for item in json.loads(recording.requests[1].content)["tasks"]] == [
        ID,
        ID,
        None,
    ]


LARGE = b"\x89PNG" + bytes(inputs.MAX_BYTES_AT_ONCE)
URL = "https://bucket.example/upload?upload_id=7"
STARTED = reply({"upload_id": "7" * 32, "upload_url": URL, "expires_at": "2026-01-02T12:00:00Z"}, 201)


def incomplete(received: int) -> httpx.Response:
    return httpx.Response(308, headers={"Range": f"bytes=0-{received - 1}"} if received else {})


def test_large_picture_is_sent_in_parts_and_resumed(api: ScriptedApi) -> None:
    total = len(LARGE)
    recording = api.run(
        inputs.upload(api.calls, LARGE),
        STARTED,
        incomplete(PART_BYTES),
        httpx.ReadError("connection reset"),
        incomplete(PART_BYTES + 5),
        httpx.Response(503),
        httpx.Response(503),
        incomplete(PART_BYTES + 5),
        incomplete(2 * PART_BYTES + 5),
        incomplete(3 * PART_BYTES + 5),
        httpx.Response(200),
        reply(input_json(LARGE), 201),
    )
    start, *parts, completion = recording.requests
    assert json.loads(start.content) == {"size_bytes": total, "content_type": "image/png"}
    assert [request.headers["Content-Range"] for request in parts] == [
        f"bytes 0-{PART_BYTES - 1}/{total}",
        f"bytes {PART_BYTES}-{2 * PART_BYTES - 1}/{total}",
        f"bytes */{total}",
        f"bytes {PART_BYTES + 5}-{2 * PART_BYTES + 4}/{total}",
        f"bytes */{total}",
        f"bytes */{total}",
        f"bytes {PART_BYTES + 5}-{2 * PART_BYTES + 4}/{total}",
        f"bytes {2 * PART_BYTES + 5}-{3 * PART_BYTES + 4}/{total}",
        f"bytes {3 * PART_BYTES + 5}-{total - 1}/{total}",
    ]
    assert not any("Authorization" in request.headers for request in parts)
    assert json.loads(completion.content) == {
        "upload_id": "7" * 32,
        "sha256": hashlib.sha256(LARGE).hexdigest(),
    }
    assert recording.pauses == [0.5, 1.0, 2.0]


def test_upload_goes_to_the_api_when_the_bucket_is_unreachable(api: ScriptedApi) -> None:
    recording = api.run(
        inputs.upload(api.calls, LARGE), STARTED, httpx.ConnectError("refused"), reply(input_json(LARGE), 201)
    )
    assert [sent(request) for request in recording.requests][-1] == ("POST", "/v1/inputs")
    assert recording.requests[-1].content == LARGE


@pytest.mark.parametrize("status", [400, 404, 410])
def test_upload_that_the_bucket_refuses_is_an_error(api: ScriptedApi, status: int) -> None:
    with pytest.raises(UnexpectedResponseError):
        api.run(inputs.upload(api.calls, LARGE), STARTED, httpx.Response(status))


def test_upload_gives_up_without_progress(api: ScriptedApi) -> None:
    failures = [httpx.ReadError("reset"), *[httpx.Response(503)] * 4]
    with pytest.raises(UnexpectedResponseError):
        api.run(inputs.upload(api.calls, LARGE), STARTED, *failures)


@pytest.mark.parametrize(
    "received",
    [
        lambda _: 0,
        lambda number: number + 1,
        lambda number: PART_BYTES * (number % 2),
        lambda number: PART_BYTES * (1 + number % 2),
        lambda number: PART_BYTES - 1 + number % 2,
        lambda _: len(LARGE),
        lambda _: len(LARGE) + 1,
        lambda number: len(LARGE) + number * PART_BYTES,
        lambda _: "9" * 5_000,
    ],
    ids=[
        "nothing",
        "single bytes",
        "0 or 1 part",
        "1 or 2 parts",
        "a byte less",
        "all",
        "more",
        "more and more",
        "no number",
    ],
)
def test_upload_ends_when_the_bucket_reports_no_progress(
    received: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, pauses = itertools.count(), list[float]()

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/inputs:start":
            return reply({"upload_id": "7" * 32, "upload_url": URL})
        number = next(numbers)
        assert number < 100, "the upload does not end"
        return httpx.Response(308, headers={"Range": f"bytes=0-{received(number)}"})

    monkeypatch.setattr(time, "sleep", pauses.append)
    with (
        Client("http://localhost", transport=httpx.MockTransport(respond)) as client,
        pytest.raises(UnexpectedResponseError, match="status 308"),
    ):
        client.upload(LARGE)
    assert len(pauses) >= RetryPolicy().max_retries


@pytest.mark.parametrize("source", [3, None, ["photo.png"]])
def test_value_that_is_no_picture_is_refused(api: ScriptedApi, source: Any) -> None:
    with pytest.raises(ConfigurationError, match="a picture must be a path"):
        api.run(inputs.upload(api.calls, source))


def test_missing_file_is_an_os_error(api: ScriptedApi) -> None:
    with pytest.raises(FileNotFoundError):
        api.run(tasks.submit(api.calls, "a circle", {"image": "no/such/photo.png"}, None))
