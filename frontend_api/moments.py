"""Moment: a point in time as callers must write it."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: object) -> object:
    """Text that begins as RFC 3339 has it: pydantic would take a number, too, and guess its unit."""
    if not isinstance(value, str) or not _WRITTEN.match(value):
        raise ValueError("must be a moment, such as 2026-11-20T20:14:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""With an offset from UTC."""
