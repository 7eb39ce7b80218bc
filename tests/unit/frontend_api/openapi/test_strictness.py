"""The OpenAPI document is as strict as the API.

A value that a schema of the document forbids is rejected, and the problem names it. A value that
the schema allows is accepted, or rejected for a documented reason that no schema can state.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

from frontend_api.openapi.document import openapi_document
from tests.unit.frontend_api.conftest import INTERNAL_TOKEN, Api, signed_in_as

Json = dict[str, Any]
EXAMPLES = 15
TASK = "task-1"
IMAGES = {"prompt": "a circle"}
OLGA = signed_in_as("olga")
SCHEDULER = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
DOCUMENT = openapi_document(Api(folder=Path()).app)
SCHEMAS = DOCUMENT["components"]["schemas"]
FORMATS = FormatChecker(("date",))
ODD = [" ", "\n", "\0", "\t", "\u0661", "é", "A", "=", "/", "#", "\x7f", "\u200b", "\u3000", "0"]
KEYWORDS = {
    "$ref", "additionalProperties", "anyOf", "const", "default", "deprecated", "description", "enum", "examples",
    "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
    "minLength", "minProperties", "minimum", "oneOf", "pattern", "patternProperties", "properties", "propertyNames",
    "readOnly", "required", "title", "type", "uniqueItems",
}  # fmt: skip
JUNK = [None, True, False, 0, 1, -1, 1.5, 7.0, 1e300, 10**30, "", " ", "x", "1", [], [None], {}, {"a": "b"}]


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value.upper()) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A valid request of an operation."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


CALLS = {
    "submitTask": Call(method="post", path="/v1/tasks", body=IMAGES),
    "labelTask": Call(method="post", path="/v1/tasks/{task_id}/labels", body={"labels": {"team": "a"}}),
    "cancelTasks": Call(method="post", path="/v1/tasks:cancel", body={"task_ids": [TASK]}),
    "labelTasks": Call(
        method="post",
        path="/v1/tasks:label",
        body={"filter": {"model": "demo"}, "labels": {"team": "a"}},
    ),
    "createShare": Call(method="post", path="/v1/tasks/{task_id}/shares", body={}),
    "listTasks": Call(method="get", path="/v1/tasks"),
    "createApiKey": Call(method="post", path="/v1/keys", body={"name": "nightly", "scopes": ["read"]}),
    "startUpload": Call(
        method="post", path="/v1/inputs:start", body={"size_bytes": 9, "content_type": "image/png"}
    ),
    "completeUpload": Call(
        method="post", path="/v1/inputs:complete", body={"upload_id": "0" * 32, "sha256": "0" * 64}
    ),
    "generateOpenAIImages": Call(method="post", path="/openai/v1/images/generations", body=IMAGES),
    "readUsage": Call(method="get", path="/v1/usage"),
    "listDeadLetters": Call(method="get", path="/v1/dead-letters", headers=OLGA),
    "readHistory": Call(method="get", path="/v1/operations/history", headers=OLGA),
    "purgeDeadLetters": Call(
        method="delete",
        path="/v1/dead-letters",
        query={"older_than": "2026-01-01T00:00:00Z"},
        headers=OLGA,
    ),
    "rescueStaleTasks": Call(method="post", path="/internal/rescue", body={}, headers=SCHEDULER),
}
NOT_CHECKED = {
    "submitBatch",  # its items have the fields of submitTask
    "deleteTasks",  # its body is that of cancelTasks
    "estimateTask",  # its body is that of submitTask
    "uploadInput",  # its body is a file
    "editOpenAIImages",  # a form; its fields are those of generateOpenAIImages
    "deliverTaskEvent",  # Google's fields
    "archiveDeadLetter",
    "streamTasks",  # its response does not end
    "readFleetDemand",  # the autoscaler's query
}
OF_THE_MODEL = (
    "must be between|must be a multiple of|must be one of|has no effect|is not an input of|has an effect only|"
    "needs `"
)
REASONS = {
    "callback_headers": "is set by darkroom|must name each header once",
    "expires_in_hours": "must be at most 720 in this deployment",
    "image": "must be the id of one of your inputs",
    "labels": "a task has at most 16 labels",
    "seed": "must be an integer",
    "size_bytes": "must be at most",
    "callback_url": "must|leads to",
    "from": "must be at most 30 days before `to`",
    "page_token": "must be the `next_page_token`|only with `filter`",
    "filter": "exactly one of|must have a condition",
    "task_ids": "exactly one of",
    "partial_images": "must be 0 or absent without `stream`",
}
"""Why a value that its schema allows may be rejected, besides the limits of the model."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all examples: creating an application costs more than a request."""
    api = Api(folder=tmp_path_factory.mktemp("page"), openai_silent_seconds=0, openai_wait_seconds=0)
    api.stored_task(task_id=TASK)
    yield api
    api.subscriptions.shut_down()


def operation(name: str) -> Json:
    return DOCUMENT["paths"][CALLS[name].path][CALLS[name].method]


def resolved(schema: Json) -> Json:
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return schema


def fields_of(name: str) -> dict[str, Json]:
    """Return the schemas of the body's fields, or of the query's parameters."""
    if CALLS[name].body is not None:
        body = resolved(operation(name)["requestBody"]["content"]["application/json"]["schema"])
        return {field: resolved(schema) for field, schema in body["properties"].items()}
    return {
        each["name"]: resolved(each["schema"])
        for each in operation(name)["parameters"]
        if each["in"] == "query"
    }


def values_near(schema: Json) -> st.SearchStrategy[Any]:
    """Generate values on both sides of a schema's bounds."""
    if "anyOf" in schema:
        return st.one_of(*map(values_near, schema["anyOf"]))
    return st.one_of(st.sampled_from(JUNK), *_near(resolved(schema)))


def _near(schema: Json) -> Iterator[st.SearchStrategy[Any]]:
    kinds = schema.get("type", "")
    if "enum" in schema:
        texts = [each for each in schema["enum"] if each is not None]
        yield st.sampled_from([form for text in texts for form in (text, text.upper(), f"{text} ")])
    elif "string" in kinds:
        valid = st.from_regex(schema.get("pattern", "").removesuffix("$") + r"\Z", fullmatch=True)
        yield valid
        yield st.builds(lambda text, odd: text[:-1] + odd, valid, st.sampled_from(ODD))
        yield st.builds(lambda odd, text: odd + text, st.sampled_from(ODD), valid)
        if "maxLength" in schema:
            lengths = st.sampled_from([schema["maxLength"], schema["maxLength"] + 1])
            yield st.builds(lambda text, length: (text + "a" * length)[:length], valid, lengths)
    if "integer" in kinds or "number" in kinds:
        bounds = [schema[each] for each in ("minimum", "maximum", "exclusiveMinimum") if each in schema]
        yield st.sampled_from([near for bound in bounds for near in (bound - 1, bound, bound + 1)] or [0])
        yield st.floats(-3, 3, width=16) | st.integers(-10, 2_000)
    if "array" in kinds:
        yield st.lists(values_near(schema["items"]), max_size=schema["maxItems"] + 1)
    if "properties" in schema:
        fields = {name: values_near(resolved(each)) for name, each in schema["properties"].items()}
        yield st.fixed_dictionaries({}, optional=fields)
    elif "object" in kinds:
        (pattern, value), *_ = schema["patternProperties"].items()
        names = st.from_regex(pattern) | st.text(max_size=3)
        most = schema["maxProperties"]
        yield st.dictionaries(names, values_near(value), max_size=3)
        yield st.integers(most, most + 1).map(lambda count: {f"l{number}": "a" for number in range(count)})


def validator_of(schema: Json) -> Draft202012Validator:
    """Validate as ECMAScript does: in Python, `$` also matches before a line feed at the end."""
    exact = json.loads(json.dumps({**schema, "components": {"schemas": SCHEMAS}}).replace('$"', '\\\\Z"'))
    return Draft202012Validator(exact, format_checker=FORMATS)


SITES = [(name, field) for name in CALLS for field in fields_of(name)]


@pytest.mark.parametrize(("name", "changed"), SITES)
def test_field_is_accepted_exactly_as_documented(api: Api, name: str, changed: str) -> None:
    schema = fields_of(name)[changed]
    validator = validator_of(schema)

    @settings(max_examples=EXAMPLES)
    @given(values_near(schema))
    def check(value: object) -> None:
        if CALLS[name].body is None and schema["type"] == "string":
            value = str(value)
        answer = sent(api, CALLS[name], changed, value)
        assert str(answer.status_code) in operation(name)["responses"], answer.text
        if not validator.is_valid(value):
            assert answer.status_code in (400, 422), value
            assert changed in answer.text
        elif answer.status_code in (400, 422):
            assert all(re.search(reasons(changed), detail) for detail in details_of(answer)), answer.text

    check()


def sent(api: Api, call: Call, changed: str, value: object) -> TestResponse:
    query, body = dict(call.query), call.body
    if body is None:
        query[changed] = str(value)
    else:
        body = {**body, changed: value}
    path = call.path.format(task_id=TASK)
    answer = api.client.open(path, method=call.method, json=body, query_string=query, headers=call.headers)
    answer.close()
    return answer


def reasons(changed: str) -> str:
    return f"{REASONS[changed]}|{OF_THE_MODEL}" if changed in REASONS else OF_THE_MODEL


def details_of(answer: TestResponse) -> list[str]:
    problem = answer.get_json()
    return (
        [each["detail"] for each in problem["errors"]]
        if "errors" in problem
        else [problem["error"]["message"]]
    )


def test_every_operation_with_input_is_checked() -> None:
    operations = [each for verbs in DOCUMENT["paths"].values() for each in verbs.values()]
    taking = {
        each["operationId"]
        for each in operations
        if "requestBody" in each or any(parameter["in"] == "query" for parameter in each["parameters"])
    }
    assert taking == CALLS.keys() | NOT_CHECKED


def test_batch_items_are_submissions_with_a_key() -> None:
    (items,) = [each["items"] for each in SCHEMAS["TaskBatch"]["properties"].values()]
    fields = dict(items["properties"])
    key = fields.pop("idempotency_key")
    (header,) = [
        each["schema"] for each in operation("submitTask")["parameters"] if each["name"] == "Idempotency-Key"
    ]
    assert fields == SCHEMAS["TaskSubmission"]["properties"]
    assert items["additionalProperties"] is False
    assert {**header, "type": ["string", "null"]}.items() >= {
        name: key[name] for name in ("type", "minLength", "maxLength", "pattern")
    }.items()


@pytest.mark.parametrize(
    "changed", [{"steps": 131.0}, {"steps": "131"}, {"idempotency_key": " a"}, {"lane": None}]
)
def test_invalid_batch_item_is_refused_alone(api: Api, changed: Json) -> None:
    tasks = [IMAGES, {**IMAGES, **changed}]
    outcomes = api.client.post("/v1/tasks:batch", json={"tasks": tasks}).get_json()["results"]
    assert [outcome["outcome"] for outcome in outcomes] == ["accepted", "refused"]


def test_error_after_a_long_wait_matches_the_document(api: Api) -> None:
    answer = api.client.post("/openai/v1/images/generations", json=IMAGES)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (200, "wait_timeout")
    described = operation("generateOpenAIImages")["responses"]["200"]["content"]["application/json"]
    validator_of(described["schema"]).validate(answer.get_json())


def test_document_uses_no_unknown_keyword() -> None:
    assert set(keywords_of(list(SCHEMAS.values()))) <= KEYWORDS
    parameters = [
        parameter["schema"]
        for verbs in DOCUMENT["paths"].values()
        for each in verbs.values()
        for parameter in each["parameters"]
    ]
    assert set(keywords_of(parameters)) <= KEYWORDS


def keywords_of(schema: Any) -> Iterator[str]:
    """Yield the keywords of a schema and of those inside it."""
    if isinstance(schema, list):
        for each in schema:
            yield from keywords_of(each)
    elif isinstance(schema, dict):
        yield from schema
        for name, inner in schema.items():
            if name in ("properties", "patternProperties"):
                yield from keywords_of(list(inner.values()))
            elif name in ("items", "anyOf", "oneOf", "additionalProperties", "propertyNames"):
                yield from keywords_of(inner)


@pytest.mark.parametrize("name", ["task_id", "input_id", "key_id", "letter_id", "name"])
@pytest.mark.parametrize("odd", ["%20", "%0A", "%00", "é", "%C3%28", "..", "A" * 300])
def test_malformed_ids_are_not_found(api: Api, name: str, odd: str) -> None:
    paths = {
        "task_id": "/v1/tasks/{}",
        "input_id": "/v1/inputs/{}",
        "key_id": "/v1/keys/{}",
        "letter_id": "/v1/dead-letters/{}",
        "name": "/v1/models/{}",
    }
    method = "delete" if name == "key_id" else "get"
    answer = api.client.open(paths[name].format(f"a{odd}"), method=method, headers=OLGA)
    assert answer.status_code == 404, answer.text
