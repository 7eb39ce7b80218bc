"""/v1/operations/history: the figures of the last hours. For operators only."""

from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from frontend_api.history.package import History
from frontend_api.history.read import MAX_HOURS, HistoryOfHours
from frontend_api.http.api_doc import ADMIN, ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate_operator, current, query
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import (
    WRITTEN_IN_DIGITS,
    QueryParameters,
    ResponseBody,
    RoundedSeconds,
    fields_of,
)

blueprint = Blueprint("history", __name__, url_prefix="/v1/operations/history")
blueprint.before_request(authenticate_operator)
doc = ApiDoc(tag="operations", scopes=ADMIN)


class HistoryQuery(QueryParameters):
    """The length of the history."""

    hours: Annotated[int, Field(ge=1, le=MAX_HOURS), WRITTEN_IN_DIGITS] = Field(
        default=6, description="Number of hours before now."
    )


class BucketResponse(ResponseBody):
    """The figures of some minutes. Those of the store are null if no minute was measured."""

    start: datetime
    measured_minutes: int = Field(description="Number of minutes whose figures were stored.")
    queued: int | None = Field(description="Highest number of queued tasks.")
    oldest_seconds: RoundedSeconds | None = Field(description="Highest age of the oldest queued task.")
    processing: RoundedSeconds | None = Field(description="Average number of tasks in processing.")
    workers: RoundedSeconds | None = Field(description="Average number of live workers.")
    completed: int | None = Field(description="Number of tasks that were completed.")
    failed: int | None
    cancelled: int | None
    gpu_seconds: RoundedSeconds | None = Field(
        description="GPU seconds of images that were kept, of tasks that were completed or failed."
    )
    wasted_gpu_seconds: RoundedSeconds | None = Field(
        description="GPU seconds of these tasks that produced no image."
    )
    responses: int = Field(description="Number of the API's responses, without those of the probes.")
    failed_responses: int = Field(description="Number of these with a status of 500 or higher.")


class HistoryResponse(ResponseBody):
    """The figures of the last hours."""

    since: datetime
    until: datetime = Field(description="End of the last complete minute.")
    bucket_seconds: int = Field(description="Time between the starts of two adjacent buckets.")
    buckets: tuple[BucketResponse, ...] = Field(
        description="Oldest first; buckets without any figure are omitted."
    )

    @classmethod
    def of(cls, history: HistoryOfHours) -> "HistoryResponse":
        return cls(
            since=history.since,
            until=history.until,
            bucket_seconds=int(history.bucket.total_seconds()),
            buckets=tuple(BucketResponse.model_validate(fields_of(bucket)) for bucket in history.buckets),
        )


@blueprint.get("")
@doc(
    "readHistory",
    {200: ResponseDoc("The figures of the last hours.", HistoryResponse)},
    query=HistoryQuery,
)
def read() -> Response:
    """Read the figures of the last hours."""
    return json_response(HistoryResponse.of(current(History).read(query(HistoryQuery).hours)))
