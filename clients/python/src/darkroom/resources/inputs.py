"""Uploads of pictures, also of those that the fields of a submission contain."""

from collections.abc import Mapping
from typing import Any

from darkroom.calls import Calls, path_of
from darkroom.models.stored_input import Input
from darkroom.pictures import PICTURE_FIELDS, PictureSource, content_type_of, is_input_id, read_picture
from darkroom.resumable import SessionUnreachableError, upload_in_parts
from darkroom.sansio import Call, Operation

MAX_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Larger files are sent in parts."""


def upload(calls: Calls, source: PictureSource) -> Operation[Input]:
    """Upload a picture, a large one in parts. A repeated upload returns the same input."""
    picture: bytes = yield Call(lambda: read_picture(source))
    content_type = content_type_of(picture)
    if len(picture) > MAX_BYTES_AT_ONCE:
        try:
            return (yield from upload_in_parts(calls, picture, content_type))
        except SessionUnreachableError:
            pass  # send it to the API
    headers = {"Content-Type": content_type}
    return (
        yield from calls.fetch(
            Input, calls.request("POST", path_of("inputs"), content=picture, headers=headers)
        )
    )


def with_ids(
    calls: Calls, fields: Mapping[str, Any], *, uploaded: dict[object, str] | None = None
) -> Operation[dict[str, Any]]:
    """Upload the pictures in the fields of a submission and return the fields with their ids.

    `uploaded` has the ids of earlier calls, so that submissions share uploads.
    """
    known = {} if uploaded is None else uploaded
    replaced = dict(fields)
    for name in PICTURE_FIELDS:
        value = replaced.get(name)
        if value is None or is_input_id(value):
            continue
        key: object = value if isinstance(value, str | bytes) else id(value)
        if key not in known:
            known[key] = (yield from upload(calls, value)).id
        replaced[name] = known[key]
    return replaced


def get(calls: Calls, input_id: str) -> Operation[Input]:
    return calls.fetch(Input, calls.request("GET", path_of("inputs", input_id)))


def delete(calls: Calls, input_id: str) -> Operation[None]:
    return calls.delete(path_of("inputs", input_id))
