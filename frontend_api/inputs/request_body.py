"""The picture in the body of an upload: the body itself, or the part `file` of a form.

The server has read the whole body before a thread is used, within the limits of
`frontend_api.http_server`. Here it is collected once, and each byte is released as it is read.
"""

import io

from flask import request
from pydantic import Field
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from common.picture_header import MEDIA_TYPES
from frontend_api.http.problems import Complaint, Problem, RequestRefusedError, rejected
from frontend_api.http.requests import check_media_type, raw_body
from frontend_api.http.schemas import RequestBody

FORM = "multipart/form-data"
FORM_BYTES = 64 * 1024
"""What a form may have beside its files: boundaries, headers and short fields."""
_MAX_PARTS = 40
_READ_BYTES = 8 * 1024
_HELD_BYTES = 2 * _READ_BYTES
"""What the parser may hold: as much as it reads at once, and a possible part of a boundary before.

This bounds the headers of a part, which it parses slowly, and each text field.
"""


class FileForm(RequestBody):
    """A form with one file."""

    file: bytes = Field(description="The picture: a PNG, JPEG or WebP.")


def uploaded_picture(*, max_bytes: int) -> bytes:
    """Return the bytes of the picture. Raises RequestRefusedError, RequestEntityTooLarge."""
    check_media_type(*MEDIA_TYPES, FORM)
    return _file_of_form(max_bytes) if request.mimetype == FORM else raw_body(max_bytes)


def uploaded_form(
    *, max_file_bytes: int, max_files: int
) -> tuple[dict[str, list[str]], dict[str, list[bytes]]]:
    """Return the text fields and the files of a form, by name, each in the order of the body.

    Raises RequestRefusedError, RequestEntityTooLarge.
    """
    request.max_content_length = max_files * max_file_bytes + FORM_BYTES
    parser = MultiPartParser(
        stream_factory=lambda *_args, **_kwargs: io.BytesIO(),
        max_form_memory_size=_HELD_BYTES,
        buffer_size=_READ_BYTES,
        max_form_parts=_MAX_PARTS,
    )
    try:
        boundary = request.mimetype_params.get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("no boundary")
        fields, files = parser.parse(request.stream, boundary, request.content_length)
    except ValueError as exc:
        raise RequestRefusedError(
            Problem(code="malformed_body", detail=f"the body is not a valid {FORM}")
        ) from exc
    contents = {name: [file.read() for file in each] for name, each in files.lists()}
    if any(len(content) > max_file_bytes for each in contents.values() for content in each):
        request.max_content_length = max_file_bytes + 1  # the limit that the problem names
        raise RequestEntityTooLarge
    return dict(fields.lists()), contents


def _file_of_form(max_bytes: int) -> bytes:
    texts, files = uploaded_form(max_file_bytes=max_bytes, max_files=1)
    complaints = [
        Complaint("pointer", f"/{name}", "is not a known field") for name in texts if name != "file"
    ]
    if [len(each) for each in files.values()] != [1] or "file" not in files:
        complaints.append(Complaint("pointer", "/file", "must be the only file of the form"))
    if complaints:
        raise RequestRefusedError(rejected(complaints))
    return files["file"][0]
