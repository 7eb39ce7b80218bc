"""The types of single fields in requests for tasks: prompts, labels, seeds and callbacks."""

import re
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticKnownError

from common.domain.parameters import MAX_SEED, GenerationParameters
from frontend_api.http.schemas import (
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_KEY_DETAIL,
    MAX_IDEMPOTENCY_KEY,
    STORABLE,
    CheckedText,
    Integer,
    Text,
    matching,
    storable,
)
from frontend_api.tasks.changes import MAX_LABELS
from frontend_api.webhooks.callback_headers import (
    HEADER_NAME,
    HEADER_VALUE,
    MAX_ALL_CHARACTERS,
    MAX_HEADERS,
    MAX_VALUE_CHARACTERS,
    check_header,
)
from frontend_api.webhooks.url_policy import MAX_URL_CHARACTERS

MAX_LABEL_CHARACTERS = 100
_SEED_DIGITS = re.compile(r"^[0-9]{1,19}$")
_LABEL_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_WHITE_SPACE = r"\t-\r\x1C-\x20\x85\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
"""The characters that Python's `str.isspace` counts."""
_SHAPES: dict[str, JsonSchemaValue] = GenerationParameters.model_json_schema()["properties"]


def _limit_labels(labels: object) -> object:
    """Check the limit before each name and value is validated."""
    if isinstance(labels, dict) and len(labels) > MAX_LABELS:
        raise PydanticKnownError(
            "too_long", {"field_type": "Dictionary", "max_length": MAX_LABELS, "actual_length": len(labels)}
        )
    return labels


def _from_digits(seed: object) -> object:
    """Accept text: the numbers of JavaScript are exact only below 2^53."""
    return int(seed) if isinstance(seed, str) and _SEED_DIGITS.fullmatch(seed) else seed


def _require(prompt: object) -> object:
    if prompt is None:
        raise PydanticKnownError("missing")
    return prompt


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        check_header(name, value)
    if sum(map(len, headers.values())) > MAX_ALL_CHARACTERS:
        raise ValueError(f"must have values of at most {MAX_ALL_CHARACTERS:,} characters, all together")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("must name each header once; case does not matter")
    return headers


Prompt = Annotated[
    Text,
    matching(
        rf"[^\u0000]*[^\u0000{_WHITE_SPACE}][^\u0000]*", "must contain a character other than white space"
    ),
    BeforeValidator(_require),
]
LabelName = Annotated[
    str,
    matching(
        _LABEL_NAME, "must be 1 to 63 of the characters a-z, 0-9, _ and -, and begin with a letter or digit"
    ),
]
LabelValue = Annotated[str, Field(max_length=MAX_LABEL_CHARACTERS), STORABLE]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=MAX_LABELS), BeforeValidator(_limit_labels)]
LabelChanges = Annotated[
    dict[LabelName, LabelValue | None],
    Field(min_length=1, max_length=MAX_LABELS),
    BeforeValidator(_limit_labels),
]
LabelFilter = Annotated[
    Text,
    matching(
        rf"{_LABEL_NAME}=[^\u0000]{{0,{MAX_LABEL_CHARACTERS}}}", "must be the NAME=VALUE of a possible label"
    ),
]
CallbackUrlText = Annotated[
    str,
    Field(max_length=MAX_URL_CHARACTERS),
    CheckedText(storable, r"[Hh][Tt][Tt][Pp][Ss]?://[\x21-\x22\x24-\x7E]+#?"),
]
HeaderName = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{HEADER_NAME}$"})]
HeaderValue = Annotated[
    str,
    WithJsonSchema({"type": "string", "maxLength": MAX_VALUE_CHARACTERS, "pattern": f"^{HEADER_VALUE}$"}),
]
CallbackHeaders = Annotated[
    dict[HeaderName, HeaderValue], Field(max_length=MAX_HEADERS), AfterValidator(_checked_headers)
]
Seed = Annotated[
    Integer,
    BeforeValidator(_from_digits),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
                {"type": "string", "pattern": _SEED_DIGITS.pattern},
            ]
        }
    ),
]
CallbackEvent = Literal["started", "progress", "finished"]
ModelName = Annotated[str, Field(max_length=63), STORABLE]
IdempotencyKey = Annotated[
    str,
    Field(min_length=1, max_length=MAX_IDEMPOTENCY_KEY),
    matching(IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_DETAIL),
]
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "maxLength")


def bounds_of(parameter: str) -> JsonDict:
    """Return the bounds of a parameter that hold for every model, for the OpenAPI document.

    Each model has its own limits within these.
    """
    shape = _SHAPES[parameter]
    either = next((each for each in shape.get("anyOf", ()) if each["type"] != "null"), shape)
    return {name: either[name] for name in _BOUNDS if name in either}


def state_bounds(schema: JsonDict) -> None:
    """Add the bounds of the parameters among a schema's fields."""
    fields = cast("dict[str, JsonDict]", schema["properties"])
    for name in _SHAPES.keys() & fields.keys():
        if "anyOf" not in fields[name]:
            fields[name] = {**bounds_of(name), **fields[name]}
