"""Shared parsing of JSON formats: the object, its version, and the first invalid field."""

import json
from typing import Any

from pydantic import ValidationError

from common.wire_formats.versions import UndecodableError, check_version


def read_object(text: str | bytes, *, called: str) -> dict[str, Any]:
    """Return the fields of a JSON object of a supported version; `called` is its name in errors.

    Raises UndecodableError, or its subclass UnsupportedVersionError for a 2.x.
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
    """Describe the location and type of the first error, without the input."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = "/".join(str(part) for part in first["loc"])
    return f"{where}: {first['type']}"
