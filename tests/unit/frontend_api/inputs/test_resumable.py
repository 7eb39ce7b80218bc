"""Resumable uploads over HTTP: start, completion and refusals."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.inputs import input_object_name
from frontend_api.inputs.announced_uploads import LIFETIME, AnnouncedUploads
from frontend_api.inputs.stored_input import StoredInput
from tests.factories import NOW
from tests.pictures import picture, png
from tests.unit.frontend_api.conftest import INPUT_LIMITS, Api, signed_in_as


def start(api: Api, size_bytes: int = len(png()), **changes: Any) -> TestResponse:
    body = {"size_bytes": size_bytes, "content_type": "image/png", **changes}
    return api.client.post("/v1/inputs:start", json=body)


def sent(api: Api, content: bytes) -> str:
    """Start an upload, send the file to the bucket and return the upload's id."""
    started = start(api, len(content)).get_json()
    api.upload_sessions.receive(started["upload_url"], content)
    upload_id: str = started["upload_id"]
    return upload_id


def complete(api: Api, upload_id: str, content: bytes, **headers: str) -> TestResponse:
    body = {"upload_id": upload_id, "sha256": hashlib.sha256(content).hexdigest()}
    return api.client.post("/v1/inputs:complete", json=body, headers=headers)


def test_completed_upload_is_an_input_like_any_other(api: Api) -> None:
    answer = complete(api, sent(api, png()), png())
    assert answer.status_code == 201
    stored = answer.get_json()
    assert api.client.get(answer.headers["Location"]).get_json() == stored
    assert api.inputs.contents == {input_object_name("local", stored["id"]): png()}
    assert not api.upload_sessions.files
    assert api.upload(png()).status_code == 200


def test_started_upload_expires_after_a_day(api: Api) -> None:
    answer = start(api)
    assert answer.status_code == 201
    assert answer.get_json()["expires_at"] == "2026-01-02T12:00:00Z"
    sent(api, png())
    api.clock.advance(24 * 3_600 + 1)
    api.call_internal("remove-expired")
    assert not api.upload_sessions.files


def test_memory_of_uploads_that_are_completed_is_limited(api: Api) -> None:
    upload_id = sent(api, png())
    memories, _ = api.app.extensions["response_memory"]
    memory = memories.users
    memory.take("user local", 96 * 1024 * 1024)
    refused = complete(api, upload_id, png())
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_large_files")
    memory.give_back("user local", 96 * 1024 * 1024)
    assert complete(api, upload_id, png()).status_code == 201


def test_started_uploads_of_all_callers_are_forgotten_after_a_day() -> None:
    announced = AnnouncedUploads()
    for number in range(3):
        announced.add("ada", f"ada-{number}", size_bytes=1, now=NOW)
    announced.add("bob", "bob-1", size_bytes=1, now=NOW + LIFETIME)
    assert len(announced) == 1
    announced.add("ada", "ada-3", size_bytes=300_000, now=NOW + LIFETIME)
    announced.remove("bob", "ada-3")  # that of another caller
    assert len(announced) == 2
    assert announced.bytes_of("ada") == 300_000


def test_started_uploads_count_until_they_are_completed_or_expire(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=300_000))
    first, *_ = started = [start(api) for _ in range(3)]
    assert [answer.status_code for answer in started] == [201] * 3
    refused = start(api)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_inputs")
    other = {"size_bytes": 10, "content_type": "image/png"}
    assert api.client.post("/v1/inputs:start", json=other, headers=signed_in_as("ada")).status_code == 201
    api.upload_sessions.receive(first.get_json()["upload_url"], png())
    stored = complete(api, first.get_json()["upload_id"], png())
    assert stored.status_code == 201
    assert start(api).status_code == 409
    api.client.delete(stored.headers["Location"])
    assert start(api).status_code == 201
    assert start(api).status_code == 409
    api.clock.advance(24 * 3_600 + 1)
    assert start(api).status_code == 201


def test_start_counts_stored_inputs_and_started_uploads_together(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=300_000))
    upload_id = sent(api, png())
    assert [api.upload(png(shade=shade)).status_code for shade in (1, 2)] == [201, 201]
    refused = start(api)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_inputs")
    assert "all your inputs and started uploads together" in refused.get_json()["detail"]
    assert complete(api, upload_id, png()).status_code == 201
    assert start(api).status_code == 409
    assert api.client.delete(f"/v1/inputs/{hashlib.sha256(png()).hexdigest()}").status_code == 204
    assert start(api).status_code == 201


def test_pictures_are_stored_beside_any_started_uploads_up_to_the_limit(tmp_path: Path) -> None:
    """For example of a caller that cannot reach the bucket, and sends each picture to the API instead."""
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=300_000))
    upload_id = sent(api, png())
    assert [start(api).status_code for _ in range(3)] == [201, 201, 409]
    assert [api.upload(png(shade=shade)).status_code for shade in (1, 2, 3)] == [201] * 3
    refused = api.upload(png(shade=4))
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_inputs")
    assert "all your inputs together" in refused.get_json()["detail"]
    assert complete(api, upload_id, png()).status_code == 409
    api.client.delete(f"/v1/inputs/{hashlib.sha256(png(shade=1)).hexdigest()}")
    assert complete(api, upload_id, png()).status_code == 201


def test_uploads_that_another_process_completed_do_not_count(tmp_path: Path) -> None:
    limits = replace(INPUT_LIMITS, bytes_per_owner=300_000)
    api = Api(folder=tmp_path, input_limits=limits)
    other = Api(folder=tmp_path, input_limits=limits, clock=api.clock, inputs=api.inputs, store=api.store)
    other.upload_sessions.files = api.upload_sessions.files
    for shade in (1, 2, 3):
        content = png(shade=shade)
        stored = complete(other, sent(api, content), content)
        assert stored.status_code == 201
        assert other.client.delete(stored.headers["Location"]).status_code == 204
    assert start(api).status_code == 409
    direct = api.upload(png())
    assert direct.status_code == 201
    assert api.client.delete(direct.headers["Location"]).status_code == 204
    assert complete(api, sent(other, png()), png()).status_code == 201


def test_pictures_that_are_uploaded_at_once_count_together(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=150_000))
    create, answers = api.inputs.create, list[TestResponse]()

    def create_after_another(stored: StoredInput, content: bytes) -> StoredInput:
        api.inputs.create = create  # type: ignore[method-assign]
        answers.append(api.upload(png(shade=1)))
        return create(stored, content)

    api.inputs.create = create_after_another  # type: ignore[method-assign]
    assert api.upload(png()).status_code == 201
    assert answers[0].status_code == 409


def test_file_is_kept_when_its_completion_fails(api: Api) -> None:
    upload_id, create = sent(api, png()), api.inputs.create

    def fail_once(stored: StoredInput, content: bytes) -> StoredInput:
        api.inputs.create = create  # type: ignore[method-assign]
        raise DependencyUnavailableError("storage")

    api.inputs.create = fail_once  # type: ignore[method-assign]
    assert complete(api, upload_id, png()).status_code == 503
    assert complete(api, upload_id, png()).status_code == 201
    assert not api.upload_sessions.files


def test_file_is_kept_when_the_caller_has_too_many_inputs(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=150_000))
    upload_id = sent(api, png())
    api.inputs.contents[input_object_name("local", "of-another-process")] = png()
    assert complete(api, upload_id, png()).status_code == 409
    del api.inputs.contents[input_object_name("local", "of-another-process")]
    assert start(api).status_code == 409  # the file still counts
    assert complete(api, upload_id, png()).status_code == 201


def test_completion_may_be_repeated(api: Api) -> None:
    upload_id = sent(api, png())
    first, second = (complete(api, upload_id, png()) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.get_json() == second.get_json()


def test_start_passes_the_origin_of_a_page(api: Api) -> None:
    headers = {"Origin": "http://localhost"}
    body = {"size_bytes": 100, "content_type": "image/png"}
    api.client.post("/v1/inputs:start", json=body, headers=headers)
    start(api)
    assert api.upload_sessions.origins == ["http://localhost", None]


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"size_bytes": 5_000_001}, "/size_bytes", "must be at most 5000000, got 5000001"),
        ({"size_bytes": 0}, "/size_bytes", "must be 1 or more"),
        ({"content_type": "image/gif"}, "/content_type", "must be"),
        ({"name": "photo.png"}, "/name", "is not a known field"),
    ],
)
def test_start_refuses_what_no_upload_can_be(
    api: Api, changes: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = start(api, **changes)
    assert answer.status_code == 422
    (error,) = answer.get_json()["errors"]
    assert error["pointer"] == pointer
    assert detail.split(maxsplit=1)[0] in error["detail"]


def test_start_counts_the_storage_of_the_caller(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, input_limits=replace(INPUT_LIMITS, bytes_per_owner=150_000))
    api.upload(png())
    assert start(api).get_json()["code"] == "too_many_inputs"


def test_upload_that_has_not_arrived_is_not_found(api: Api) -> None:
    started = start(api).get_json()
    for upload_id in (started["upload_id"], "0" * 32):
        answer = complete(api, upload_id, png())
        assert (answer.status_code, answer.get_json()["code"]) == (404, "upload_not_found")


def test_upload_of_another_caller_is_not_found(api: Api) -> None:
    upload_id = sent(api, png())
    answer = complete(api, upload_id, png(), **signed_in_as("ada"))
    assert (answer.status_code, answer.get_json()["code"]) == (404, "upload_not_found")
    assert complete(api, upload_id, png()).status_code == 201


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (picture("GIF"), "picture_type_not_supported"),
        (png()[:40], "picture_damaged"),
        (png(width=600, height=8), "picture_too_large"),
        (b"\x89PNG", "picture_type_not_supported"),
    ],
)
def test_hostile_picture_is_refused_and_removed(api: Api, content: bytes, code: str) -> None:
    answer = complete(api, sent(api, content), content)
    assert answer.get_json()["code"] == code
    assert not api.upload_sessions.files
    assert not api.inputs.contents


def test_file_with_another_hash_is_refused(api: Api) -> None:
    answer = complete(api, sent(api, png()), png(shade=9))
    assert (answer.status_code, answer.get_json()["code"]) == (422, "picture_damaged")
    assert "SHA-256" in answer.get_json()["detail"]
