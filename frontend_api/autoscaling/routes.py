"""/internal/autoscaling: the number of workers that a pool needs, for KEDA's metrics-api trigger."""

from datetime import datetime

from flask import Blueprint, Response, request
from pydantic import Field

from common.domain.errors import UnknownModelError
from frontend_api.autoscaling.package import Autoscaling
from frontend_api.autoscaling.policy import TARGET_SECONDS
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Complaint, RequestRefusedError, rejected
from frontend_api.http.requests import current, query
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import QueryParameters, ResponseBody, RoundedSeconds
from frontend_api.identity.ports import Identity

blueprint = Blueprint("autoscaling", __name__, url_prefix="/internal/autoscaling")
doc = ApiDoc(tag="internal")


class AutoscalingQuery(QueryParameters):
    """The pool and its latency target."""

    models: str = Field(
        default="",
        max_length=4_000,
        description="Models that the pool serves, separated by commas; all by default.",
    )
    target_seconds: float = Field(
        default=TARGET_SECONDS,
        ge=10,
        le=3_600,
        allow_inf_nan=False,
        description="Time within which the pool should finish its tasks once the workers run.",
    )


class AutoscalingResponse(ResponseBody):
    """The demand of a pool's tasks."""

    as_of: datetime = Field(description="Time of the measurement, at most 30 seconds ago.")
    workers: RoundedSeconds = Field(
        description="Number of workers that the pool should have, to be rounded up; 0 only without tasks."
    )
    gpu_seconds: RoundedSeconds | None = Field(
        description="Time that one worker needs for all unfinished tasks; null if a model has no measured times."
    )
    tasks: int = Field(description="Number of unfinished tasks.")
    busy_workers: int = Field(description="Number of workers that process them; an upper bound.")


@blueprint.before_request
def check_caller() -> None:
    """Require the autoscaler's token. The URL cannot carry it, because URLs are logged."""
    current(Identity).autoscaling_callers.check(dict(request.headers))


@blueprint.get("")
@doc(
    "readFleetDemand",
    {200: ResponseDoc("The demand.", AutoscalingResponse)},
    query=AutoscalingQuery,
)
def read() -> Response:
    """Read the number of workers that a pool should have."""
    asked = query(AutoscalingQuery)
    models = [name.strip() for name in asked.models.split(",") if name.strip()]
    try:
        demand = current(Autoscaling).read_demand(models, target_seconds=asked.target_seconds)
    except UnknownModelError as error:
        complaint = Complaint(
            "parameter", "models", f"{error.name[:100]!r} is not one of {', '.join(error.offered)}"
        )
        raise RequestRefusedError(rejected([complaint])) from error
    return json_response(AutoscalingResponse.model_validate(demand))
