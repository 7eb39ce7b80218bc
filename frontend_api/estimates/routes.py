"""/v1/tasks:estimate: duration, waiting time and price of a submission. Stores nothing."""

from flask import Blueprint, Response
from pydantic import Field

from frontend_api.estimates.package import Estimates
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate, caller_id, current, json_body
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody, RoundedSeconds, fields_of
from frontend_api.quotas.headers import limit_rejections
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.responses import EtaResponse, WarningResponse
from frontend_api.tasks.schemas import TaskSubmission
from frontend_api.usage.usage import Usage

blueprint = Blueprint("estimates", __name__, url_prefix="/v1/tasks:estimate")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="tasks")


class EstimateResponse(ResponseBody):
    """The estimate for a submission that is made now."""

    model: str
    feasible: bool = Field(description="Whether a live worker serves the model.")
    reason: str | None = Field(description="Why no worker can process the task; null if it is feasible.")
    gpu_seconds: RoundedSeconds | None = Field(
        description="GPU time for the images; null until a worker has reported its speed."
    )
    queue_position: int = Field(description="Number of queued tasks of the model ahead of it.")
    eta: EtaResponse | None = Field(
        description="Time until it finishes; null if it is not feasible or unknown."
    )
    price: float | None = Field(
        description="Price of `gpu_seconds`; null if unknown, or if no price is configured."
    )
    currency: str | None = Field(description="null if no price is configured.")
    warnings: tuple[WarningResponse, ...] = Field(description="The warnings that the task would have.")


@blueprint.post("")
@doc(
    "estimateTask",
    {200: ResponseDoc("The estimate. Nothing is stored.", EstimateResponse)},
    problems=("unknown_model", "content_policy_violation"),
    body=TaskSubmission,
)
def estimate() -> Response:
    """Estimate the duration and cost of a task.

    Rejects everything that a submission would be rejected for, except quotas.
    """
    limit_rejections()
    task = current(Tasks).submit.checked_task(
        json_body(TaskSubmission).submission(user_id=caller_id(), idempotency_key=None)
    )
    estimate = current(Estimates).estimator.estimate(task.parameters, task.lane)
    price, gpu_seconds = current(Usage).price, estimate.gpu_seconds
    return json_response(
        EstimateResponse.model_validate(
            {
                **fields_of(estimate),
                "model": task.parameters.model,
                "queue_position": estimate.queue_position or 0,
                "price": None if price is None or gpu_seconds is None else price.of(gpu_seconds),
                "currency": None if price is None else price.currency,
                "warnings": task.warnings,
            }
        )
    )
