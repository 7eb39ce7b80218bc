"""Inputs: uploaded pictures."""

from datetime import datetime

from darkroom.models.record import Record


class Input(Record):
    """An uploaded picture. Its id is the SHA-256 of its bytes; tasks refer to it."""

    id: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    created_at: datetime
    expires_at: datetime
    """When it is deleted at the latest. A task that uses it moves this into the future."""
    url: str
