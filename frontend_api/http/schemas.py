"""Schema parts that all packages share: response bodies, timestamps and problem documents."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    computed_field,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from frontend_api.http.json_body import is_unicode

_EXACT_BELOW = 2**53
_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_WRITTEN_INTEGER = re.compile(r"-?[0-9]{1,19}(\.0+)?")


@dataclass(frozen=True, slots=True)
class CheckedText:
    """Annotates text with a check, and with the pattern that states it in the OpenAPI document.

    Patterns use the syntax that ECMAScript, Python and Rust share.
    """

    check: Callable[[str], str]
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{self.pattern}$"}


def matching(pattern: str, detail: str) -> CheckedText:
    """Require text that matches the pattern completely. `detail` says in words what is accepted."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(detail)
        return text

    return CheckedText(check, pattern)


def _written(value: object) -> object:
    """Require RFC 3339 text: pydantic would also accept a number and guess its unit."""
    if not isinstance(value, str) or not re.fullmatch(_TIMESTAMP, value):
        raise ValueError("must be an RFC 3339 timestamp such as 2026-11-20T20:14:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    """Convert to UTC, so that later arithmetic and the store accept every validated time."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be between the years 1 and 9999 in UTC") from error


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    AfterValidator(_in_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_TIMESTAMP}$"}),
]
"""A time with an offset from UTC in the input; converted to UTC."""


def storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    if not is_unicode(text):
        raise ValueError("must be valid Unicode; it contains a lone surrogate")
    return text


STORABLE = CheckedText(storable, r"[^\u0000]*")
Text = Annotated[str, STORABLE]


def _without_fraction(value: object) -> object:
    """Accept 20.0 and 2e1 for 20, as JSON Schema does; larger floats may have lost digits."""
    is_exact = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_BELOW
    return int(value) if is_exact else value  # type: ignore[call-overload]


WHOLE = BeforeValidator(_without_fraction)
"""Annotates an `int` of a body. Bounds precede it, because the document omits those that follow."""
Integer = Annotated[int, WHOLE]
"""A number without a fraction: 20, 20.0 or 2e1."""


def _only_digits(value: object) -> object:
    """Refuse white space, signs and underscores, which Python's numbers may have."""
    if isinstance(value, str) and not _WRITTEN_INTEGER.fullmatch(value):
        raise ValueError("must be an integer")
    return value


IDEMPOTENCY_KEY = r"[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?"
"""HTTP ignores spaces at the ends of a header's value."""
MAX_IDEMPOTENCY_KEY = 255
IDEMPOTENCY_KEY_DETAIL = (
    f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters, without spaces at its ends"
)

TASK_ID = r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"

WRITTEN_IN_DIGITS = BeforeValidator(_only_digits)
"""Annotates an `int` of the query. Bounds precede it."""
PageSize = Annotated[int, Field(ge=1, le=100), WRITTEN_IN_DIGITS]
"""The query parameter `page_size`."""


def a_page_token(pattern: str) -> CheckedText:
    """Require a token of this form. The store checks whether it made it."""
    return matching(pattern, "must be the `next_page_token` of a previous response")


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class QueryParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


RoundedSeconds = Annotated[float, AfterValidator(lambda seconds: round(seconds, 3))]


class ResponseBody(BaseModel):
    """The JSON body of a response."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Seeded(ResponseBody):
    """A part of a response with a field `seed`."""

    @computed_field(description="`seed` as text: the numbers of JavaScript are exact only below 2⁵³.")
    def seed_text(self) -> str:
        return str(self.seed)  # type: ignore[attr-defined]


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, for a response that adds some of its own."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


class BodyComplaint(BaseModel):
    """A rejected part of the body, and what is accepted."""

    pointer: str = Field(description="JSON pointer into the body; empty for the whole body.")
    detail: str


class ParameterComplaint(BaseModel):
    """A rejected query parameter, and what is accepted."""

    parameter: str = Field(description="The query parameter's name.")
    detail: str


class HeaderComplaint(BaseModel):
    """A rejected header, and what is accepted."""

    header: str = Field(description="The header's name.")
    detail: str


class ProblemDocument(BaseModel):
    """A refused or failed request (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    type: str = Field(description="Relative reference to the problem's documentation.")
    title: str
    status: int
    code: str = Field(description="Stable error code, the same in responses, logs and task documents.")
    detail: str
    errors: list[BodyComplaint | ParameterComplaint | HeaderComplaint]
    retryable: bool
    trace_id: str | None
    task_id: str | None = Field(
        default=None,
        description="Id of a task that is stored or may be: read it, or send the same request with the same key.",
    )
