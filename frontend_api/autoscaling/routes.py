"""/internal/autoscaling: the number of workers that a pool needs, for KEDA's metrics-api trigger."""

from datetime import datetime

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field

from common.domain.errors import UnknownModelError
from frontend_api.autoscaling.demand import ReadFleetDemand
from frontend_api.autoscaling.policy import TARGET_SECONDS
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.current import current
from frontend_api.http.problems import Complaint, RequestRefusedError, rejected
from frontend_api.http.requests import query
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody
from frontend_api.identity.package import Identity

blueprint = Blueprint("autoscaling", __name__, url_prefix="/internal/autoscaling")
doc = ApiDoc(tag="internal")


class AutoscalingQuery(BaseModel):
    """The pool and its latency target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: str = Field(
        default="",
        max_length=500,
        description="Those that the pool serves, separated by commas; all if left out.",
    )
    target_seconds: float = Field(
        default=TARGET_SECONDS,
        ge=10,
        le=3_600,
        allow_inf_nan=False,
        description="Within what time the pool is to work off its tasks once the workers are there.",
    )


class AutoscalingResponse(ResponseBody):
    """The demand of a pool's tasks."""

    as_of: datetime = Field(description="When it was measured: at most 30 seconds ago.")
    workers: float = Field(
        description="How many the pool should have, to be rounded up; 0 without any task only."
    )
    gpu_seconds: float | None = Field(
        description="How long one worker would draw at all that has not ended; null while nobody has measured a model."
    )
    tasks: int = Field(description="How many have not ended.")
    busy_workers: int = Field(description="How many workers draw at them, at most.")


@blueprint.before_request
def check_caller() -> None:
    """Require the autoscaler's token. The URL cannot carry it, because URLs are logged."""
    current(Identity).autoscaling_callers.check(dict(request.headers))


@blueprint.get("")
@doc(
    "readFleetDemand",
    {200: ResponseDoc("Measured just now.", AutoscalingResponse)},
    query=AutoscalingQuery,
)
def read() -> Response:
    """How many workers a pool should have."""
    asked = query(AutoscalingQuery)
    models = [name.strip() for name in asked.models.split(",") if name.strip()]
    try:
        demand = current(ReadFleetDemand)(models, target_seconds=asked.target_seconds)
    except UnknownModelError as error:
        complaint = Complaint(
            "parameter", "models", f"{error.name[:100]!r} is none of {', '.join(error.offered)}"
        )
        raise RequestRefusedError(rejected([complaint])) from error
    return json_response(
        AutoscalingResponse(
            as_of=demand.as_of,
            workers=round(demand.workers, 3),
            gpu_seconds=None if demand.gpu_seconds is None else round(demand.gpu_seconds, 3),
            tasks=demand.tasks,
            busy_workers=demand.busy_workers,
        )
    )
