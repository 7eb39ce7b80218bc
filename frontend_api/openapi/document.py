"""The OpenAPI 3.1 document, built from the routes, their Operations and the pydantic schemas."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from common.domain.inputs import INPUT_ID_PATTERN
from common.domain.models.spec import ModelSpec
from frontend_api.dead_letters.dead_letter import LETTER_ID
from frontend_api.http.api_doc import Operation, ResponseDoc, operation_of
from frontend_api.http.problems import PROBLEMS
from frontend_api.http.schemas import IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY, TASK_ID
from frontend_api.quotas.headers import RATE_LIMITED_PATHS
from frontend_api.shares.share import SHARE_ID
from frontend_api.tasks.responses import WebhookBody

Json = dict[str, Any]
_TAGS = (
    "tasks",
    "results",
    "images",
    "shares",
    "inputs",
    "models",
    "queue",
    "usage",
    "webhooks",
    "openai",
    "keys",
    "dead letters",
    "operations",
    "health",
    "internal",
)
"""In the order of the document; the most used tags come first."""
_PATH_PARAMETER = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>")
_REFERENCE = "#/components/schemas/{model}"
_PARAMETERS: dict[str, dict[str, Any]] = {
    "task_id": {
        "description": "The task's id.",
        "schema": {"type": "string", "pattern": f"^{TASK_ID}$"},
    },
    "input_id": {"description": "The input's id.", "schema": {"type": "string", "pattern": INPUT_ID_PATTERN}},
    "key_id": {
        "description": "The API key's id.",
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{16}$"},
    },
    "letter_id": {
        "description": "The dead letter's id.",
        "schema": {"type": "string", "pattern": f"^{LETTER_ID}$"},
    },
    "share_id": {"description": "The share's id.", "schema": {"type": "string", "pattern": f"^{SHARE_ID}$"}},
    "number": {"description": "The delivery's number, from 1.", "schema": {"type": "integer", "minimum": 1}},
    "name": {
        "description": "The model's name.",
        "schema": {
            "type": "string",
            "pattern": ModelSpec.model_json_schema()["properties"]["name"]["pattern"],
        },
    },
    "extension": {
        "description": "The extension of the image's format.",
        "schema": {"type": "string", "enum": ["png", "jpg", "jpeg", "webp", "avif"]},
    },
    "index": {"description": "The image's index, from 0.", "schema": {"type": "integer", "minimum": 0}},
}
_HEADERS: dict[str, Json] = {
    "Idempotency-Key": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_IDEMPOTENCY_KEY,
        "pattern": f"^{IDEMPOTENCY_KEY}$",
        "examples": ["order-1815"],
    },
}
"""Schemas of headers that are more than plain text."""
_EVERYWHERE_BELOW_V1 = {
    "RateLimit-Policy": "Limits of each caller (draft-ietf-httpapi-ratelimit-headers); absent without limits.",
    "RateLimit": "The caller's remaining quota, as counted by the responding process.",
}
_SIGNED = {
    "webhook-id": "The event's id, the same for every try.",
    "webhook-timestamp": "Time of this try, in seconds since 1970.",
    "webhook-signature": "One or two signatures: `v1,` and an HMAC-SHA256 in base64, as Standard Webhooks specifies.",
    "traceparent": "The trace of this try (W3C Trace Context). Optional for the receiver.",
}
_ABOUT = """\
darkroom generates images from prompts. Submit a task: the response has its id. Then poll the task,
stream its changes or listen to its Firestore document.

## Problems

An error response is a problem document (`application/problem+json`, RFC 9457). Its `code` is stable.
`errors` lists the invalid fields and what they accept.

| code | status | title | retryable |
|---|---|---|---|
"""
_PROBLEM_ROW = '| <a id="{code}"></a>`{code}` | {status} | {title} | {retryable} |\n'
"""The anchor is the target of the redirect from the problem's type."""


def openapi_document(app: Flask, *, base_path: str = "") -> Json:
    """Build the whole document. It contains every route with an Operation.

    `base_path` precedes the paths of all routes.
    """
    paths: dict[str, Json] = {}
    operations = list(_operations(app))
    for path, verb, operation in operations:
        paths.setdefault(path, {})[verb] = _operation(path, verb, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "darkroom",
            "version": version("darkroom"),
            "summary": "A durable image-generation queue",
            "description": _ABOUT + "".join(_problem_rows()),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_path or "/", "description": "The server of this document"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": name} for name in _TAGS],
        "paths": dict(sorted(paths.items())),
        "webhooks": {"taskEvent": {"post": _task_event()}},
        "x-problems": {code: asdict(kind) for code, kind in PROBLEMS.items()},
        "components": {
            "headers": _headers(_EVERYWHERE_BELOW_V1),
            "schemas": _schemas([operation for _, _, operation in operations]),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key from `/v1/keys`, or a Firebase ID token. On the local stack: no token, "
                    "`local`, or an unsigned emulator token.",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The same key in its own header. Each operation names the scopes that it needs.",
                },
            },
        },
    }


def _problem_rows() -> Iterator[str]:
    for code, kind in PROBLEMS.items():
        retryable = "yes" if kind.retryable else "no"
        yield _PROBLEM_ROW.format(code=code, status=kind.status, title=kind.title, retryable=retryable)


def _operations(app: Flask) -> Iterator[tuple[str, str, Operation]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is None:
            continue
        for verb in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield _PATH_PARAMETER.sub(r"{\1}", rule.rule), verb.lower(), operation


def _operation(path: str, verb: str, operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *_path_parameters(path),
            *_query_parameters(operation),
            *_header_parameters(operation),
        ],
        "responses": {
            **{str(status): _response(response) for status, response in operation.responses.items()},
            **_problem_responses(operation),
        },
    }
    if path.startswith(RATE_LIMITED_PATHS):
        everywhere = {name: {"$ref": f"#/components/headers/{name}"} for name in _EVERYWHERE_BELOW_V1}
        for response in described["responses"].values():
            response["headers"] = {**response.get("headers", {}), **everywhere}
    if content := _request_content(operation):
        described["requestBody"] = {"required": operation.body_required, "content": content}
    if not operation.secured:
        described["security"] = []
    elif not operation.is_internal:
        described["security"] = [{"bearer": []}, {"apiKey": sorted(operation.scopes_for(verb))}]
    return described


def _request_content(operation: Operation) -> Json:
    content: Json = {media_type: {} for media_type in operation.raw_body}
    if operation.form is not None:
        content["multipart/form-data"] = {"schema": _reference(operation.form)}
    if operation.body is not None:
        content["application/json"] = {"schema": _reference(operation.body)}
    return content


def _path_parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, **_PARAMETERS[name]}


def _query_parameters(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    schema = operation.query.model_json_schema(
        ref_template=_REFERENCE, schema_generator=_QueryParameterSchemas
    )
    for name, shape in schema["properties"].items():
        if shape.get("default", "") is None:
            del shape["default"]
        description = shape.pop("description", "")
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "description": description, "schema": shape}


def _header_parameters(operation: Operation) -> Iterator[Json]:
    for name, meaning in operation.headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": meaning,
            "schema": _HEADERS.get(name, {"type": "string"}),
        }


def _response(response: ResponseDoc) -> Json:
    described: Json = {"description": response.description}
    if response.headers:
        described["headers"] = _headers(response.headers)
    if response.body is not None:
        described["content"] = {response.media_type: {"schema": _reference(response.body)}}
    elif response.media_type != "application/json":
        described["content"] = {response.media_type: {}}
    if response.stream is not None:
        described["content"]["text/event-stream"] = {"schema": _event(response.stream)}
    return described


def _event(data: type[BaseModel]) -> Json:
    """Describe each event of a stream, as OpenAPI 3.2 does."""
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": _reference(data)}
    return {"type": "object", "properties": {"event": {"type": "string"}, "data": text}}


def _headers(meanings: Mapping[str, str]) -> Json:
    return {
        name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in meanings.items()
    }


def _problem_responses(operation: Operation) -> Json:
    shape = operation.errors
    by_status: dict[int, list[str]] = {}
    for code in operation.all_problems:
        by_status.setdefault(shape.status(code), []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
            "content": {shape.media_type: {"schema": _reference(shape.schema)}},
        }
        for status, codes in sorted(by_status.items())
    }


def _task_event() -> Json:
    """Describe the receiver's side: the POST to a callback URL and the meaning of its responses."""
    return {
        "operationId": "taskEvent",
        "summary": "An event of a task that was submitted with a `callback_url`",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": about,
                "schema": {"type": "string"},
            }
            for name, about in _SIGNED.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(WebhookBody)}},
        },
        "responses": {
            "2XX": {"description": "Accepted."},
            "410": {"description": "Stop: no further event of this task is sent."},
            "default": {"description": "Any other response: the event is sent again later."},
        },
    }


class _ReadableSchemas(GenerateJsonSchema):
    """Schemas that the viewer shows briefly: no titles that repeat names, short nullable types."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "enum" in (values := self.resolve_ref_schema(inner)):
            return {"type": [values["type"], "null"], "enum": [*values["enum"], None]}
        if isinstance(inner.get("type"), str) and "const" not in inner:
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        shape = super().dict_schema(schema)
        return {**shape, "additionalProperties": False} if "patternProperties" in shape else shape


class _QueryParameterSchemas(_ReadableSchemas):
    """Schemas of values that are absent instead of null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(operations: list[Operation]) -> Json:
    wanted: set[tuple[type[BaseModel], JsonSchemaMode]] = {
        (WebhookBody, "serialization"),
    }
    for operation in operations:
        wanted |= {(body, "validation") for body in (operation.body, operation.form) if body is not None}
        wanted.add((operation.errors.schema, "serialization"))
        for response in operation.responses.values():
            bodies = (response.body, response.stream)
            wanted |= {(body, "serialization") for body in bodies if body is not None}
    in_order = sorted(wanted, key=lambda pair: pair[0].__name__)
    _, definitions = models_json_schema(in_order, ref_template=_REFERENCE, schema_generator=_ReadableSchemas)
    return dict(sorted(definitions["$defs"].items()))
