"""An input as its owner sees it."""

from typing import Self

from pydantic import AwareDatetime, Field

from frontend_api.http.schemas import ResponseBody, fields_of
from frontend_api.inputs.stored_input import StoredInput

PATH = "/v1/inputs"


class StartedUploadResponse(ResponseBody):
    """A resumable upload."""

    upload_id: str = Field(description="Its id, for `/v1/inputs:complete`.")
    upload_url: str = Field(
        description="Accepts the file in parts, without credentials, by Cloud Storage's protocol for resumable uploads."
    )
    expires_at: AwareDatetime = Field(description="When the upload must be complete.")


class InputResponse(ResponseBody):
    """An uploaded picture. Tasks refer to it by its id."""

    id: str = Field(description="The SHA-256 of the file's bytes.")
    content_type: str = Field(description="`image/png`, `image/jpeg` or `image/webp`, as found in the file.")
    size_bytes: int
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    created_at: AwareDatetime
    expires_at: AwareDatetime = Field(
        description="When the input is deleted at the latest. A task that uses it moves it into the future, and "
        "deletes the input with itself if no other task uses it."
    )
    url: str = Field(description="Address of the picture's bytes.")

    @classmethod
    def of(cls, stored: StoredInput, *, address: str) -> Self:
        """Build the response. `address` is where the caller reaches the input."""
        return cls.model_validate({**fields_of(stored), "url": f"{address}/content"})
