"""Request schemas for dead letters."""

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from frontend_api.http.schemas import Timestamp


class DeadLetterListQuery(BaseModel):
    """Selects a page of dead letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page_size: int = Field(default=20, ge=1, le=100, description="Maximum number of dead letters per page.")
    page_token: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="`next_page_token` of the previous page."
    )


class DeadLetterPurgeQuery(BaseModel):
    """Selects the dead letters to delete. There is no default that selects all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    older_than: Timestamp = Field(description="Delete dead letters older than this time.")
