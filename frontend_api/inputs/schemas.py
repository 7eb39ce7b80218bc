"""Bodies of resumable uploads."""

from typing import Annotated, Literal

from pydantic import Field

from common.domain.inputs import INPUT_ID_PATTERN
from frontend_api.http.schemas import WHOLE, RequestBody

_MAX_BYTES = 2**53
"""Larger numbers are not exact in JSON. The limit of the deployment is far below."""


class UploadStart(RequestBody):
    """A file that will be sent in parts."""

    size_bytes: Annotated[int, Field(ge=1, le=_MAX_BYTES), WHOLE] = Field(
        description="The size of the whole file."
    )
    content_type: Literal["image/png", "image/jpeg", "image/webp"]


class UploadCompletion(RequestBody):
    """A file that was sent completely."""

    upload_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = Field(description="The id of the upload.")
    sha256: Annotated[str, Field(pattern=INPUT_ID_PATTERN)] = Field(
        description="The SHA-256 of the file, in hex: the id of the input."
    )
