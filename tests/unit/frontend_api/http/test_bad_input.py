"""Invalid input: problems name the field and the accepted values; nothing is stored or published."""

import gzip
import io
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from frontend_api.http.json_body import MAX_BODY_BYTES
from tests.unit.frontend_api.conftest import Api

VALID = {"prompt": "a large red circle"}

FIELDS = {
    "unknown field": ({"stepz": 20}, "/stepz", "is not a known field"),
    "unknown field with a slash": ({"a/b~c": 1}, "/a~1b~0c", "is not a known field"),
    "user id from the body": ({"user_id": "mallory"}, "/user_id", "is not a known field"),
    "wrong type, string": ({"steps": "20"}, "/steps", "must be an integer"),
    "a fraction": ({"steps": 20.5}, "/steps", "must be an integer"),
    "a float that has lost digits": ({"seed": 9007199254740993.0}, "/seed", "must be an integer"),
    "boolean as integer": ({"steps": True}, "/steps", "must be an integer"),
    "boolean as number": ({"guidance_scale": True}, "/guidance_scale", "must be a number"),
    "wrong type, array": ({"prompt": ["a"]}, "/prompt", "must be a string"),
    "no prompt": ({"prompt": None}, "/prompt", "is required"),
    "5000 steps": ({"steps": 5000}, "/steps", "must be between 1 and 100, got 5000"),
    "no steps": ({"steps": 0}, "/steps", "must be between 1 and 100, got 0"),
    "negative steps": ({"steps": -1}, "/steps", "must be between 1 and 100, got -1"),
    "huge integer": (
        {"steps": 10**300},
        "/steps",
        "must be between 1 and 100, got a number of too many digits",
    ),
    "negative seed": (
        {"seed": -1},
        "/seed",
        "must be between 0 and 9223372036854775807, got -1; leave it out for a random seed",
    ),
    "seed of 64 bits": (
        {"seed": 2**63},
        "/seed",
        "must be between 0 and 9223372036854775807, got 9223372036854775808; leave it out for a random seed",
    ),
    "guidance beyond the model": (
        {"guidance_scale": 20.5},
        "/guidance_scale",
        "must be between 0.0 and 20.0, got 20.5",
    ),
    "size beyond the model": ({"width": 1024}, "/width", "must be between 64 and 512 pixels, got 1024"),
    "size off the grid": ({"height": 100}, "/height", "must be a multiple of 64, got 100"),
    "too many images": ({"num_images": 5}, "/num_images", "must be between 1 and 4, got 5"),
    "no images": ({"num_images": 0}, "/num_images", "must be between 1 and 4, got 0"),
    "empty prompt": ({"prompt": ""}, "/prompt", "must contain a character other than white space"),
    "blank prompt": ({"prompt": " \n\t "}, "/prompt", "must contain a character other than white space"),
    "100 kB prompt": (
        {"prompt": "x" * 100_000},
        "/prompt",
        "must be between 1 and 2000 characters, got 100000",
    ),
    "100 kB negative prompt": (
        {"negative_prompt": "x" * 100_000},
        "/negative_prompt",
        "must be between 0 and 2000 characters, got 100000",
    ),
    "NUL in the prompt": ({"prompt": "a\0b"}, "/prompt", "must not contain NUL characters"),
    "NUL in the negative prompt": (
        {"negative_prompt": "\0"},
        "/negative_prompt",
        "must not contain NUL characters",
    ),
    "high surrogate in the prompt": ({"prompt": "a\ud800"}, "/prompt", "surrogate"),
    "low surrogate in the prompt": ({"prompt": "a\udc00"}, "/prompt", "surrogate"),
    "swapped surrogates in the prompt": ({"prompt": "a\udc00\ud800"}, "/prompt", "surrogate"),
    "sampler that is not offered": ({"sampler": "heun"}, "/sampler", "must be one of 'ddim', 'euler'"),
    "sampler of a wrong type": ({"sampler": 3}, "/sampler", "must be one of 'ddim', 'euler'"),
    "format that is not offered": (
        {"output_format": "tiff"},
        "/output_format",
        "must be one of 'png', 'jpeg', 'webp' or 'avif'",
    ),
    "lane that does not exist": ({"lane": "fast"}, "/lane", "must be one of 'interactive' or 'batch'"),
    "callback event that does not exist": (
        {"callback_events": ["everything"]},
        "/callback_events/0",
        "must be one of 'started', 'progress' or 'finished'",
    ),
    "labels that are no object": ({"labels": ["a"]}, "/labels", "must be an object"),
    "label of a wrong type": ({"labels": {"a": 1}}, "/labels/a", "must be a string"),
    "label name with capitals": (
        {"labels": {"Team A": "x"}},
        "/labels/Team A",
        "must be 1 to 63 of the characters",
    ),
    "label too long": ({"labels": {"a": "x" * 101}}, "/labels/a", "must have at most 100 characters"),
    "too many labels": (
        {"labels": {f"l{n}": "x" for n in range(17)}},
        "/labels",
        "must have at most 16 entries",
    ),
    "200 invalid labels": (
        {"labels": {f"L{n}": "" for n in range(200)}},
        "/labels",
        "must have at most 16 entries",
    ),
    "too many fields": ({f"f{n}": 1 for n in range(50)}, "", "must have at most 40 fields (got 51)"),
    "deadline in the past": ({"deadline_seconds": 0}, "/deadline_seconds", "must be at least 1"),
    "deadline of a year": ({"deadline_seconds": 31_536_000}, "/deadline_seconds", "must be at most 604800"),
    "model name without end": ({"model": "m" * 10_000}, "/model", "must have at most 63 characters"),
}

BODIES = {
    "nothing": (b"", "is not valid JSON"),
    "broken JSON": (b'{"prompt": "a', "is not valid JSON"),
    "trailing comma": (b'{"prompt": "a",}', "is not valid JSON"),
    "two documents": (b'{"prompt": "a"}{"prompt": "b"}', "is not valid JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"prompt": "a"}', "is not valid JSON"),
    "not UTF-8": (b'{"prompt": "\xff"}', "is not valid UTF-8 at byte 12"),
    "UTF-16": ('{"prompt": "a"}'.encode("utf-16"), "is not valid UTF-8"),
    "NUL bytes": (b"\0" * 100, "is not valid JSON"),
    "raw control character": (b'{"prompt": "a\x01"}', "is not valid JSON"),
    "NaN": (b'{"prompt": "a", "guidance_scale": NaN}', "contains NaN"),
    "Infinity": (b'{"prompt": "a", "guidance_scale": -Infinity}', "contains -Infinity"),
    "a name twice": (b'{"prompt": "a", "steps": 1, "steps": 2}', "contains the field 'steps' twice"),
    "a label twice": (b'{"prompt": "a", "labels": {"x": "1", "x": "2"}}', "contains the field 'x' twice"),
    "lone surrogate in a name": (b'{"prompt": "a", "\\ud800": 1}', "a lone surrogate"),
    "deep nesting": (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
    "a number of 5000 digits": (b'{"prompt": "a", "steps": ' + b"9" * 5_000 + b"}", "too many digits"),
    "an array": (b"[]", "must be a JSON object (got an array)"),
    "a string": (b'"a red circle"', "must be a JSON object (got a string)"),
    "a number": (b"1", "must be a JSON object (got a number)"),
    "a boolean": (b"true", "must be a JSON object (got a boolean)"),
    "null": (b"null", "must be a JSON object (got null)"),
}


def post(api: Api, body: bytes, content_type: str | None = "application/json") -> TestResponse:
    return api.client.post("/v1/tasks", data=body, content_type=content_type)


def problem_in(answer: TestResponse, code: str, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json()
    assert (problem["code"], problem["status"], problem["retryable"]) == (code, status, False)
    assert problem["type"] == f"/problems/{code.replace('_', '-')}"
    assert problem["title"]
    assert len(problem["trace_id"] or "x" * 32) == 32
    return dict(problem)


@pytest.mark.parametrize(("changes", "pointer", "detail"), FIELDS.values(), ids=FIELDS)
def test_invalid_field_is_named_with_its_limit(
    api: Api, changes: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = post(api, json.dumps({**VALID, **changes}).encode())
    problem = problem_in(answer, "parameters_rejected", 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert detail in problem["errors"][0]["detail"]
    assert len(answer.data) < 2_000
    assert api.has_taken_nothing()


@pytest.mark.parametrize(("body", "detail"), BODIES.values(), ids=BODIES)
def test_body_is_rejected_unless_one_json_object(api: Api, body: bytes, detail: str) -> None:
    problem = problem_in(post(api, body), "malformed_body", 400)
    assert problem["errors"][0]["pointer"] == ""
    assert detail in problem["detail"]
    assert api.has_taken_nothing()


def test_missing_prompt_is_rejected(api: Api) -> None:
    problem = problem_in(post(api, b"{}"), "parameters_rejected", 422)
    assert problem["errors"] == [{"pointer": "/prompt", "detail": "is required"}]
    assert api.has_taken_nothing()


def test_overflowing_number_is_rejected(api: Api) -> None:
    problem = problem_in(post(api, b'{"prompt": "a", "guidance_scale": 1e999}'), "parameters_rejected", 422)
    assert problem["errors"] == [{"pointer": "/guidance_scale", "detail": "must be a finite number"}]
    assert api.has_taken_nothing()


def test_rejection_names_every_invalid_field(api: Api) -> None:
    problem = problem_in(api.submit(steps=5_000, width=100, num_images=9), "parameters_rejected", 422)
    assert {error["pointer"] for error in problem["errors"]} == {"/steps", "/width", "/num_images"}
    assert api.has_taken_nothing()


def test_unknown_model_problem_lists_the_offered_models(api: Api) -> None:
    problem = problem_in(api.submit(model="dall-e"), "unknown_model", 422)
    assert problem["errors"] == [{"pointer": "/model", "detail": "must be one of demo; got 'dall-e'"}]
    assert api.has_taken_nothing()


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_body_of_another_media_type_is_rejected(api: Api, content_type: str | None) -> None:
    answer = post(api, json.dumps(VALID).encode(), content_type)
    problem = problem_in(answer, "unsupported_media_type", 415)
    assert problem["errors"][0]["header"] == "Content-Type"
    assert "application/json" in problem["errors"][0]["detail"]
    assert api.has_taken_nothing()


@pytest.mark.parametrize("steps", ["20", "20.0", "2e1"])
def test_integer_may_be_written_in_any_form(api: Api, steps: str) -> None:
    answer = post(api, f'{{"prompt": "a circle", "steps": {steps}}}'.encode(), "application/json")
    assert answer.get_json()["parameters"]["steps"] == 20


def test_compressed_body_is_rejected(api: Api) -> None:
    answer = api.client.post(
        "/v1/tasks",
        data=gzip.compress(json.dumps(VALID).encode()),
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )
    problem = problem_in(answer, "unsupported_media_type", 415)
    assert problem["errors"] == [{"header": "Content-Encoding", "detail": "must be absent (got 'gzip')"}]
    assert answer.headers["Accept-Encoding"] == "identity"


def test_identity_is_no_compression(api: Api) -> None:
    assert (
        api.client.post("/v1/tasks", json=VALID, headers={"Content-Encoding": "identity"}).status_code == 202
    )


def test_content_type_may_have_a_charset(api: Api) -> None:
    assert post(api, json.dumps(VALID).encode(), "application/json; charset=utf-8").status_code == 202


@pytest.mark.parametrize("name", ["Accept-Encoding", "Content-Type", "If-None-Match", "X-Anything"])
def test_long_header_is_rejected_before_it_is_parsed(api: Api, name: str) -> None:
    answer = api.client.get("/openapi.json", headers={name: "a," * 5_000})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")
    assert answer.get_json()["errors"] == [{"header": name, "detail": "must have at most 8190 characters"}]
    assert api.client.get("/openapi.json", headers={name: "a," * 4_000}).status_code == 200


def test_long_cookies_of_other_programs_on_the_host_are_ignored(api: Api) -> None:
    assert api.client.get("/openapi.json", headers={"Cookie": "a=b; " * 10_000}).status_code == 200


def test_large_body_is_rejected_unread(api: Api) -> None:
    answer = post(api, b'{"prompt": "' + b"x" * 20_000_000 + b'"}')
    problem = problem_in(answer, "body_too_large", 413)
    assert problem["errors"] == [{"pointer": "", "detail": f"must have at most {MAX_BODY_BYTES} bytes"}]
    assert api.has_taken_nothing()


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES])
def test_large_body_without_a_length_is_rejected(api: Api, size: int) -> None:
    # White space after the object: cut off at the limit, this would be a valid body.
    body = json.dumps(VALID).encode().ljust(size)
    answer = api.client.post(
        "/v1/tasks",
        input_stream=io.BytesIO(body),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked"},
    )
    problem_in(answer, "body_too_large", 413)
    assert api.has_taken_nothing()


def test_body_at_the_size_limit_is_accepted(api: Api) -> None:
    assert post(api, json.dumps(VALID).encode().ljust(MAX_BODY_BYTES)).status_code == 202


MANY_VALUES = {
    "label names": {"labels": {f"L{number}": "" for number in range(70_000)}},
    "unknown fields": {f"f{number}": 1 for number in range(80_000)},
    "array entries": {"callback_events": [0] * 400_000},
    "empty objects": {"labels": [{}] * 300_000},
}


@pytest.mark.parametrize("changes", MANY_VALUES.values(), ids=MANY_VALUES)
def test_too_many_values_are_rejected_before_parsing(api: Api, changes: dict[str, Any]) -> None:
    body = json.dumps({**VALID, **changes}, separators=(",", ":")).encode() + b"which is not JSON"
    assert len(body) <= MAX_BODY_BYTES
    problem = problem_in(post(api, body), "parameters_rejected", 422)
    assert problem["errors"] == [
        {"pointer": "", "detail": "must have at most 1000 values, including those inside arrays and objects"}
    ]
    assert api.has_taken_nothing()


def test_punctuation_in_strings_is_not_counted_as_values(api: Api) -> None:
    prompt = 'a "red", {[blue]}, \\ '[:20] * 100
    assert api.submit(prompt=prompt, labels={f"l{n}": ',"{[' * 25 for n in range(16)}).status_code == 202


def test_problem_counts_errors_beyond_the_listed_ones(api: Api) -> None:
    problem = problem_in(api.submit(**{f"f{n}": 1 for n in range(30)}), "parameters_rejected", 422)
    assert len(problem["errors"]) == 20
    assert problem["detail"] == "30 fields are invalid; `errors` lists the first 20"


def test_response_is_short_for_many_unknown_fields(api: Api) -> None:
    answer = post(api, json.dumps({"x" * 300 + str(n): n for n in range(2_000)}).encode())
    problem_in(answer, "parameters_rejected", 422)
    assert len(answer.data) < 10_000
    assert api.has_taken_nothing()


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "tab\there"])
def test_idempotency_key_must_be_short_printable_ascii(api: Api, key: str) -> None:
    answer = api.client.post(
        "/v1/tasks", json=VALID, headers={"Idempotency-Key": key.encode().decode("latin-1")}
    )
    problem = problem_in(answer, "parameters_rejected", 422)
    assert problem["errors"][0]["header"] == "Idempotency-Key"
    assert api.has_taken_nothing()
