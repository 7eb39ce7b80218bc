"""Conversion of Firestore's value types to plain Python types."""

from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """Convert Firestore's datetimes to plain ones, at any depth of `value`."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return datetime.combine(value.date(), value.timetz()) if isinstance(value, datetime) else value
