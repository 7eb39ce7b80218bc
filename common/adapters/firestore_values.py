"""Conversion between Firestore's values and plain Python ones."""

import hashlib
from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """Convert Firestore's datetimes to plain ones, at any depth of `value`."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return datetime.combine(value.date(), value.timetz()) if isinstance(value, datetime) else value


def user_key(user_id: str) -> str:
    """Return a document id for a user, a hash: Firestore refuses some characters of user ids."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:40]
