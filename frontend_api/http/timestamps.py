"""Moment: a point in time in the format that callers must use."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: object) -> object:
    """Require RFC 3339 text: pydantic would also accept a number and guess its unit."""
    if not isinstance(value, str) or not _WRITTEN.match(value):
        raise ValueError("must be a moment, such as 2026-11-20T20:14:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time with an offset from UTC."""
