"""Read a request body as one JSON object, strictly: what two readers could understand differently is refused."""

import json
from typing import Any, NoReturn

MAX_BODY_BYTES = 1_000_000


class MalformedBodyError(ValueError):
    """The bytes are not one unambiguous JSON object; the message says why, free of secrets."""


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The object that `body` holds. Raises MalformedBodyError.

    Refused beyond what JSON refuses: NaN and Infinity, a name given twice, names that are not valid Unicode,
    numbers of thousands of digits, nesting deeper than the parser goes.
    """
    try:
        parsed = json.loads(
            body.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refused_constant
        )
    except UnicodeDecodeError as exc:
        raise MalformedBodyError(f"is not UTF-8 at byte {exc.start}") from exc
    except json.JSONDecodeError as exc:
        raise MalformedBodyError(f"is not JSON: {exc.msg}, line {exc.lineno} column {exc.colno}") from exc
    except RecursionError as exc:
        raise MalformedBodyError("is nested too deeply") from exc
    except MalformedBodyError:
        raise
    except ValueError as exc:
        raise MalformedBodyError("holds a number with too many digits") from exc
    if not isinstance(parsed, dict):
        raise MalformedBodyError(f"must be a JSON object, got {_kind(parsed)}")
    return parsed


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if not is_unicode(name):
            raise MalformedBodyError("has a field name with half a surrogate pair")
        if name in found:
            raise MalformedBodyError(f"names the field {name[:64]!r} twice")
        found[name] = value
    return found


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8; JSON's escapes can spell halves of surrogate pairs, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused_constant(name: str) -> NoReturn:
    raise MalformedBodyError(f"holds {name}, which is not JSON")


def _kind(parsed: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(parsed), "a number")
