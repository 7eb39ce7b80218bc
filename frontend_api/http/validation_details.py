"""Converts pydantic's errors to this API's form: a JSON pointer and what is accepted."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_MAX_SEGMENT_CHARACTERS = 100
_Context = Mapping[str, Any]
_DETAILS: Mapping[str, Callable[[_Context], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a known field",
    "int_type": lambda _: "must be an integer",
    "int_parsing": lambda _: "must be an integer",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "string_type": lambda _: "must be a string",
    "dict_type": lambda _: "must be an object",
    "enum": lambda context: f"must be one of {context['expected']}",
    "literal_error": lambda context: f"must be one of {context['expected']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "list_type": lambda _: "must be an array",
    "model_type": lambda _: "must be an object",
    "too_short": lambda context: f"must have at least {context['min_length']} entries",
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
    "value_error": lambda context: str(context["error"]),
}


def pointer_of(location: tuple[int | str, ...]) -> str:
    """Return the RFC 6901 pointer. `[key]` marks a rejected name instead of its value."""
    segments = (str(part)[:_MAX_SEGMENT_CHARACTERS] for part in location if part != "[key]")
    return "".join(f"/{segment.replace('~', '~0').replace('/', '~1')}" for segment in segments)


def detail_of(error: ErrorDetails) -> str:
    describe = _DETAILS.get(error["type"])
    return error["msg"] if describe is None else describe(error.get("ctx", {}))
