"""The request schema of a rescue."""

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from frontend_api.http.schemas import Timestamp


class RescueRequest(BaseModel):
    """Parameters of a rescue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_lost_at: Timestamp | None = Field(
        default=None, description="Messages confirmed before this time count as lost and are published again."
    )
