"""Schemas of the internal endpoints."""

from datetime import datetime
from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from frontend_api.http.schemas import WHOLE, ResponseBody, RoundedSeconds, Timestamp
from frontend_api.rescue.policy import Verdict

MAX_ENVELOPE_BYTES = 16 * 1024 * 1024
"""Pub/Sub's largest message, 10 MB, in base64, plus its attributes."""


class PushedMessage(BaseModel):
    """One message; `data` is its body, in base64."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    messageId: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")  # noqa: N815 - Google's name
    publishTime: Timestamp  # noqa: N815 - Google's name
    data: Base64Bytes = b""
    attributes: dict[str, str] = Field(default_factory=dict)


class PushEnvelope(BaseModel):
    """The body of a Pub/Sub push request. Its fields are Google's; others are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    message: PushedMessage
    subscription: str = Field(default="", description="The push subscription's full name.")
    deliveryAttempt: Annotated[int, Field(strict=True), WHOLE] | None = Field(  # noqa: N815 - Google's name
        default=None,
        description="Delivery attempt number, if the subscription has a dead-letter policy.",
    )


class RescueRequest(BaseModel):
    """Parameters of a rescue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_lost_at: Timestamp | None = Field(
        default=None, description="Messages confirmed before this time count as lost and are published again."
    )


class RescueResponse(ResponseBody):
    """The number of tasks per result of one rescue run."""

    published: int
    abandoned: int
    left: int
    by_verdict: dict[Verdict, int]


class RetriedResponse(ResponseBody):
    """The result of one run of retries."""

    tried: int = Field(description="Webhook events that were due.")
    left: int = Field(description="Callers whose turn is in the next run, because this one lasted too long.")


class PoolChangeResponse(ResponseBody):
    """The number of instances before and after one step of the autoscaler."""

    before: int
    after: int
    workers: RoundedSeconds = Field(description="The demand, to be rounded up.")


class RecordedMinuteResponse(ResponseBody):
    """The minute whose figures one call stored."""

    minute: datetime = Field(description="Start of the minute.")


class RemovalResponse(ResponseBody):
    """The number of tasks that one cleanup run removed."""

    removed: int
