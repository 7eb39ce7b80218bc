"""Inputs: uploaded pictures."""

from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from darkroom.models.record import Record

INPUT_ID = r"[0-9a-f]{64}"
InputId = Annotated[str, StringConstraints(pattern=rf"^{INPUT_ID}$")]
"""The id of an uploaded picture. A submission reads any other text as the path of a file to upload,
so an id that a server or an image file states must be one.
"""


class Input(Record):
    """An uploaded picture. Its id is the SHA-256 of its bytes; tasks refer to it."""

    id: InputId
    content_type: str
    size_bytes: int
    width: int
    height: int
    created_at: AwareDatetime
    expires_at: AwareDatetime
    """When it is deleted at the latest. A task that uses it moves this into the future."""
    url: str
