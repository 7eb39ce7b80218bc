"""The request schema of a rescue."""

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from frontend_api.http.schemas import Moment


class RescueRequest(BaseModel):
    """Parameters of a rescue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_lost_at: Moment | None = Field(
        default=None, description="Every message confirmed before this moment is gone: publish anew."
    )
