"""Request and response schemas for shares."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from frontend_api.http.schemas import WHOLE, RequestBody, ResponseBody
from frontend_api.shares.shares import CreatedShare

MAX_HOURS = 8_760
_MAX_INDEX = 1_000


class ShareRequest(RequestBody):
    """A new link to one picture."""

    image_index: Annotated[int, Field(ge=0, le=_MAX_INDEX), WHOLE] = Field(
        default=0, description="Index of a finished image."
    )
    expires_in_hours: Annotated[int, Field(ge=1, le=MAX_HOURS), WHOLE] | None = Field(
        default=None,
        description="Hours until the link ends; by default a week. The deployment may permit less.",
    )

    @property
    def lifetime(self) -> timedelta | None:
        return None if self.expires_in_hours is None else timedelta(hours=self.expires_in_hours)


class ShareResponse(ResponseBody):
    """A link, without its address."""

    id: str
    image_index: int
    created_at: datetime
    expires_at: datetime


class CreatedShareResponse(ShareResponse):
    """A new link with its address, which is shown only in this response."""

    url: str = Field(description="Shows the picture and its prompt to any holder, without credentials.")

    @classmethod
    def of_created(cls, created: CreatedShare, *, url: str) -> "CreatedShareResponse":
        """Build the only response that contains the address."""
        return cls(**dict(ShareResponse.model_validate(created.record)), url=url)


class ShareListResponse(ResponseBody):
    """The task's links that work, newest first."""

    shares: tuple[ShareResponse, ...]
