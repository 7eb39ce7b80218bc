"""What readers of JSON have in common: the object and its version, and what to say of the first field that is wrong."""

import json
from typing import Any

from pydantic import ValidationError

from common.wire_formats.versions import UndecodableError, check_version


def read_object(text: str | bytes, *, called: str) -> dict[str, Any]:
    """The fields of a JSON object of a version that this code reads; `called` is its name in the refusal.

    Raises UndecodableError, or its kind UnsupportedVersionError for a 2.x.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UndecodableError(f"{called} is not JSON") from exc
    if not isinstance(raw, dict):
        raise UndecodableError(f"{called} is not a JSON object")
    check_version(raw.get("version"))
    return raw


def first_complaint(error: ValidationError) -> str:
    """Where and of which type the first error is: short, and free of what was sent."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = "/".join(str(part) for part in first["loc"])
    return f"{where}: {first['type']}"
