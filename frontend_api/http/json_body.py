"""Read a request body as one JSON object, strictly: ambiguous input is rejected."""

import json
from typing import Any, NoReturn

MAX_BODY_BYTES = 1_000_000
"""Bounds the processor time of a request, also of an accepted batch with as many values as it may have."""
MAX_VALUES = 1_000
"""Far more than any valid request has; bounds the work that a rejected body can cause."""
_MAX_INTEGER_DIGITS = 400
_QUOTES_PER_VALUE = 4
"""A name and a string value have two quotation marks each."""


class MalformedBodyError(ValueError):
    """The bytes are not one unambiguous JSON object. The message says why, without secrets."""


class TooManyValuesError(ValueError):
    """The body has more values than any valid request; it was not parsed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"must have at most {limit} values, including those inside arrays and objects")


def parse_json_object(body: bytes, *, max_values: int = MAX_VALUES) -> dict[str, Any]:
    """Parse `body` as a JSON object. Raises MalformedBodyError and TooManyValuesError.

    Stricter than JSON: rejects NaN and Infinity, duplicate names, names that are not valid Unicode,
    integers of more than 400 digits, and nesting deeper than the parser supports.
    """
    # Counted before parsing: each value costs an object, and each invalid one an error.
    _check_values(body, max_values)
    try:
        parsed = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refused_constant,
            parse_int=_bounded_integer,
        )
    except UnicodeDecodeError as exc:
        raise MalformedBodyError(f"is not valid UTF-8 at byte {exc.start}") from exc
    except json.JSONDecodeError as exc:
        raise MalformedBodyError(
            f"is not valid JSON: {exc.msg}, line {exc.lineno} column {exc.colno}"
        ) from exc
    except RecursionError as exc:
        raise MalformedBodyError("is nested too deeply") from exc
    except MalformedBodyError:
        raise
    except ValueError as exc:
        raise MalformedBodyError("contains a number with too many digits") from exc
    if not isinstance(parsed, dict):
        raise MalformedBodyError(f"must be a JSON object (got {_kind(parsed)})")
    return parsed


def _check_values(body: bytes, limit: int) -> None:
    """Reject a JSON text with more than `limit` values, in a few passes at memory speed.

    Exact for valid JSON. For invalid JSON, the part before the first error is counted correctly,
    and the parser reads no further.
    """
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    if text.count(b'"') > _QUOTES_PER_VALUE * limit:
        raise TooManyValuesError(limit)
    outside_strings = b"".join(text.split(b'"')[::2])
    if outside_strings.count(b",") >= limit:
        raise TooManyValuesError(limit)
    # Commas separate neighbouring values; brackets without commas are nested.
    if outside_strings.count(b"[") + outside_strings.count(b"{") > limit:
        raise MalformedBodyError("is nested too deeply")


def _bounded_integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise MalformedBodyError("contains a number with too many digits")
    return int(digits)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if not is_unicode(name):
            raise MalformedBodyError("contains a field name with a lone surrogate")
        if name in found:
            raise MalformedBodyError(f"contains the field {name[:64]!r} twice")
        found[name] = value
    return found


def is_unicode(text: str) -> bool:
    """Return whether text can be encoded as UTF-8; JSON escapes can contain lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused_constant(name: str) -> NoReturn:
    raise MalformedBodyError(f"contains {name}, which is not valid JSON")


def _kind(parsed: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(parsed), "a number")
