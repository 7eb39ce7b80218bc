"""Inputs over HTTP: uploads, reads, deletions and refusals."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.domain.inputs import input_object_name
from tests.pictures import picture, png, png_bomb, png_chunk, png_header
from tests.unit.frontend_api.conftest import INPUT_LIMITS, Api, signed_in_as

ADA, BOB = signed_in_as("ada"), signed_in_as("bob")
FORM = "multipart/form-data"


def upload_form(api: Api, **fields: Any) -> TestResponse:
    return api.client.post("/v1/inputs", data=fields, content_type=FORM)


def file_of(content: bytes) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), "photo of me.png"


def test_upload_stores_the_picture_under_its_hash(api: Api) -> None:
    answer = api.upload(png(width=64, height=48))
    stored = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/inputs/{stored['id']}"
    assert stored == {
        "id": hashlib.sha256(png(width=64, height=48)).hexdigest(),
        "content_type": "image/png",
        "size_bytes": len(png()),
        "width": 64,
        "height": 48,
        "created_at": "2026-01-01T12:00:00Z",
        "expires_at": "2026-01-02T12:00:00Z",
        "url": f"/v1/inputs/{stored['id']}/content",
    }
    assert api.inputs.contents == {input_object_name("local", stored["id"]): png()}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_upload_of_each_type_is_read_back_unchanged(api: Api, kind: str) -> None:
    content, content_type = picture(kind), f"image/{kind.lower()}"
    stored = api.upload(content, content_type=content_type).get_json()
    assert stored["content_type"] == content_type
    answer = api.client.get(stored["url"])
    assert (answer.data, answer.content_type) == (content, content_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    cached = api.client.get(stored["url"], headers={"If-None-Match": answer.headers["ETag"]})
    assert (cached.status_code, cached.data) == (304, b"")


def test_uploads_of_a_form_and_of_a_body_are_the_same_input(api: Api) -> None:
    first = upload_form(api, file=file_of(png()))
    second = api.upload(png())
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.get_json()["id"] == second.get_json()["id"]


def test_second_upload_renews_the_expiry(api: Api) -> None:
    api.upload(png())
    api.clock.advance(20 * 3_600)
    assert api.upload(png()).get_json()["expires_at"] == "2026-01-03T08:00:00Z"


def test_the_files_own_type_counts(api: Api) -> None:
    stored = api.upload(picture("JPEG"), content_type="image/png").get_json()
    assert stored["content_type"] == "image/jpeg"


@pytest.mark.parametrize("text", [b"\r\n", b"\n--", b"ab\n"])
def test_form_takes_large_pictures_with_line_breaks(api: Api, text: bytes) -> None:
    large = png()[:33] + png_chunk(b"tEXt", b"Comment\0" + text * 300_000) + png()[33:]
    answer = upload_form(api, file=file_of(large))
    assert (answer.status_code, answer.get_json()["size_bytes"]) == (201, len(large))


def test_unused_input_expires_after_a_day(api: Api) -> None:
    stored = api.upload(png()).get_json()
    api.clock.advance(24 * 3_600)
    assert api.client.get(f"/v1/inputs/{stored['id']}").status_code == 404
    assert api.submit(image=stored["id"]).status_code == 422
    assert api.call_internal("remove-expired").status_code == 200
    assert not api.inputs.contents


def test_deletion_removes_the_picture(api: Api) -> None:
    stored = api.upload(png()).get_json()
    assert api.client.delete(f"/v1/inputs/{stored['id']}").status_code == 204
    answer = api.client.delete(f"/v1/inputs/{stored['id']}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "input_not_found")
    assert not api.inputs.contents


def test_owners_have_separate_copies(api: Api) -> None:
    assert [api.upload(png(), headers=user).status_code for user in (ADA, BOB)] == [201, 201]
    api.client.delete(f"/v1/inputs/{hashlib.sha256(png()).hexdigest()}", headers=ADA)
    assert api.upload(png(), headers=BOB).status_code == 200


@pytest.mark.parametrize("input_id", ["x", "A" * 64, "../" * 20, "0" * 63, "0" * 64])
def test_unknown_ids_are_not_found(api: Api, input_id: str) -> None:
    answer = api.client.get(f"/v1/inputs/{input_id}")
    assert answer.status_code == 404


REFUSED = {
    "20,000 pixels a side": (png_bomb(), 422, "picture_too_large", "each side may have 512 pixels"),
    "too many pixels": (png(width=500, height=400), 422, "picture_too_large", "may have 100,000 pixels"),
    "animated": (picture("WEBP", frames=2), 422, "picture_animated", "animated"),
    "animated PNG": (picture("PNG", frames=2), 422, "picture_animated", "animated"),
    "GIF": (picture("GIF"), 415, "picture_type_not_supported", "file must be a PNG, JPEG or WebP (got GIF)"),
    "SVG": (b"<svg onload='alert(1)'/>", 415, "picture_type_not_supported", "(got SVG)"),
    "a text": (b"hello", 415, "picture_type_not_supported", "must be a PNG, JPEG or WebP"),
    "truncated": (png()[:-20], 422, "picture_damaged", "incomplete"),
    "truncated header": (png()[:20], 422, "picture_damaged", "incomplete"),
    "nothing": (b"", 422, "picture_damaged", "empty"),
    "many chunks": (
        png_header(64, 48) + png_chunk(b"tEXt") * 20_000,
        422,
        "picture_damaged",
        "more than 10000 parts",
    ),
}


@pytest.mark.parametrize(("content", "status", "code", "detail"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("as_form", [False, True], ids=["body", "form"])
def test_hostile_pictures_are_refused_with_a_sentence(
    api: Api, content: bytes, status: int, code: str, detail: str, as_form: bool
) -> None:
    answer = upload_form(api, file=file_of(content)) if as_form else api.upload(content)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert detail in problem["detail"]
    assert not api.inputs.contents


def test_larger_files_are_refused_with_the_limit(api: Api) -> None:
    for answer in (api.upload(bytes(5_000_001)), upload_form(api, file=file_of(bytes(5_000_001)))):
        assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
        assert "5000000" in answer.get_json()["detail"]


@pytest.mark.parametrize("content_type", ["application/json", "image/gif", "image/svg+xml", ""])
def test_other_content_types_are_refused(api: Api, content_type: str) -> None:
    answer = api.upload(png(), content_type=content_type)
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")
    assert "image/webp" in answer.headers["Accept-Post"]


@pytest.mark.parametrize(
    "fields",
    [{"file": "text"}, {"photo": file_of(png())}, {"file": [file_of(png()), file_of(png(shade=9))]}],
    ids=["no file", "another name", "two files"],
)
def test_form_without_exactly_one_file_is_refused(api: Api, fields: dict[str, Any]) -> None:
    answer = upload_form(api, **fields)
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [
        {"pointer": "/file", "detail": "must be the only file of the form"}
    ]


def test_form_with_other_fields_is_refused(api: Api) -> None:
    answer = upload_form(api, file=file_of(png()), note="a photo")
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"pointer": "/note", "detail": "is not a known field"}]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"not a form", f"{FORM}; boundary=x"),
        (b"--x\r\n", FORM),
        (b"--x\r\n" + b"a" * 100_000, f"{FORM}; boundary=x"),
        (b"--x\r\nno header\r\n\r\n", f"{FORM}; boundary=x"),
        (b"--x\r\n", f"{FORM}; boundary=\xc3\xa9"),
    ],
)
def test_malformed_forms_are_refused(api: Api, body: bytes, content_type: str) -> None:
    answer = api.client.post("/v1/inputs", data=body, headers={"Content-Type": content_type})
    assert answer.status_code in (400, 413, 422)
    assert answer.content_type == "application/problem+json"


def test_form_with_long_headers_of_a_part_is_refused(api: Api) -> None:
    """The parser takes long for their parameters."""
    parameters = b'; a*0="b"' * 3_000
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"' + parameters
    body = head + b"\r\n\r\n" + png() + b"\r\n--x--\r\n"
    answer = api.client.post("/v1/inputs", data=body, content_type=f"{FORM}; boundary=x")
    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


def test_storage_of_a_caller_is_limited(tmp_path: Path) -> None:
    limits = replace(INPUT_LIMITS, bytes_per_owner=150_000)
    api = Api(folder=tmp_path, input_limits=limits)
    assert api.upload(png()).status_code == 201
    assert api.upload(png()).status_code == 200
    answer = api.upload(png(shade=1))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "too_many_inputs")
    assert api.upload(png(shade=1), headers=BOB).status_code == 201


def test_upload_is_unavailable_without_storage(api: Api) -> None:
    api.inputs.unavailable = True
    answer = api.upload(png())
    assert (answer.status_code, answer.get_json()["code"]) == (503, "dependency_unavailable")
