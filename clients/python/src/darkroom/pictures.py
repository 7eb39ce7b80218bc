"""Pictures that a task starts from: files, bytes and Pillow images, as the bytes of an upload."""

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from darkroom.errors import ConfigurationError
from darkroom.models.stored_input import INPUT_ID

PictureSource: TypeAlias = bytes | str | os.PathLike[str] | Image.Image
"""The bytes of a PNG, JPEG or WebP file, its path, or a Pillow image, which is sent as PNG."""
PICTURE_FIELDS = ("image", "mask_image", "control_image", "reference_image")
"""The fields of a submission that contain the id of an uploaded picture."""
_TYPES: Mapping[bytes, str] = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def is_input_id(value: Any) -> bool:
    """Return whether a value of a picture field is an id already; any other text is a path."""
    return isinstance(value, str) and re.fullmatch(INPUT_ID, value) is not None


def read_picture(source: Any) -> bytes:
    """Return the bytes to upload. Raises ConfigurationError, and OSError if a file cannot be read."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, Image.Image):
        file = io.BytesIO()
        source.save(file, "PNG")
        return file.getvalue()
    if isinstance(source, str | os.PathLike):
        return Path(source).read_bytes()
    raise ConfigurationError(
        f"a picture must be a path, bytes or a Pillow image (got {type(source).__name__})"
    )


def content_type_of(picture: bytes) -> str:
    """Return the type by the first bytes. The API checks the file and refuses other types."""
    return next((kind for start, kind in _TYPES.items() if picture.startswith(start)), "image/png")
