"""Values as Firestore hands them out, and as everybody else knows them."""

from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """Firestore's own kind of datetime as an ordinary one, wherever it stands in `value`."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return datetime.combine(value.date(), value.timetz()) if isinstance(value, datetime) else value
