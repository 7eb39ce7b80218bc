"""/v1/operations: the state of the whole system. For operators only."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from flask import Blueprint, Flask, Response, request
from pydantic import Field

from common.domain.task import TaskStatus
from common.domain.worker_report import ModelTimes, WorkerReport
from frontend_api.http.api_doc import ADMIN, ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate_operator, current
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody, RoundedSeconds, fields_of
from frontend_api.operations.alerts import Alert, AlertState, spent_seconds
from frontend_api.operations.status import MOST_FAILURES, ReadOperations
from frontend_api.stats.ports import Lately
from frontend_api.stats.routes import QueueResponse
from frontend_api.usage.ports import NO_USAGE

blueprint = Blueprint("operations", __name__, url_prefix="/v1/operations")
blueprint.before_request(authenticate_operator)
doc = ApiDoc(tag="operations", scopes=ADMIN)


class AlertResponse(ResponseBody):
    """An alert, evaluated from the store."""

    name: str
    title: str = Field(description="A noun phrase that fits every state.")
    severity: Literal["CRITICAL", "ERROR", "WARNING"]
    state: AlertState = Field(
        description="`pending`: the condition holds, but not yet for the time after which the alert notifies."
    )
    says: str = Field(description="The figures, in a sentence.")
    runbook: str = Field(description="Heading of the runbook entry with the remedy.")

    @classmethod
    def of(cls, alert: Alert) -> "AlertResponse":
        return cls.model_validate({**fields_of(alert.rule), "state": alert.state, "says": alert.says})


class WorkerTimesResponse(ResponseBody):
    """A worker's recently measured times for one model."""

    model: str
    gpu_seconds_per_unit: float = Field(description="GPU seconds per million pixels and forward pass.")
    step_seconds: float = Field(
        description="Seconds per step and image, at the size with the most measured images."
    )
    pass_pixels: int = Field(description="That size: width × height × forward passes per step.")
    images: int = Field(description="Number of measured images; 0 during warm-up.")

    @classmethod
    def of(cls, times: ModelTimes) -> "WorkerTimesResponse":
        """Build the answer for the size with the most measured images."""
        size = max(times.sizes, key=lambda one: one.images)
        return cls(
            model=times.model,
            gpu_seconds_per_unit=round(times.gpu_seconds_per_unit, 6),
            step_seconds=round(size.step_seconds, 6),
            pass_pixels=size.pass_pixels,
            images=size.images,
        )


class BrokenModelResponse(ResponseBody):
    """A model that a worker currently cannot serve."""

    model: str
    reason: str = Field(description="Why loading or warm-up failed.")
    failures: int = Field(description="Number of consecutive failed attempts to load it.")
    retry_at: datetime = Field(description="Earliest time of the next attempt.")


class WorkerResponse(ResponseBody):
    """A live worker, from its own report."""

    worker_id: str
    models: tuple[str, ...] = Field(description="Models that it is configured to serve, loaded or not.")
    broken_models: tuple[BrokenModelResponse, ...] = Field(
        description="Models that it currently cannot serve, and why."
    )
    device: str
    slots: int = Field(description="Number of images that it generates at once.")
    deliveries: int = Field(description="Number of tasks that it holds at once.")
    reported_at: datetime
    times: tuple[WorkerTimesResponse, ...] = Field(
        description="Measured times of the models that it has used."
    )

    @classmethod
    def of(cls, report: WorkerReport) -> "WorkerResponse":
        times = [WorkerTimesResponse.of(times) for times in report.times if times.sizes]
        return cls.model_validate({**fields_of(report), "times": times})


class FailureCountResponse(ResponseBody):
    """The number of tasks that failed with one code."""

    code: str
    tasks: int


class LastHourResponse(ResponseBody):
    """The outcomes of tasks that finished within the last hour and are still stored."""

    completed: int
    failed: int
    cancelled: int
    gpu_seconds: RoundedSeconds = Field(
        description="GPU seconds of images that were kept, of completed and failed tasks."
    )
    wasted_gpu_seconds: RoundedSeconds = Field(
        description="GPU seconds that produced no image, of completed and failed tasks."
    )
    failures: tuple[FailureCountResponse, ...] = Field(
        description=f"By code, most frequent first; of more than {MOST_FAILURES} failed tasks, the earliest."
    )

    @classmethod
    def of(cls, lately: Lately) -> "LastHourResponse":
        of_status = {status: lately.hour.get(status, NO_USAGE) for status in TaskStatus}
        spent = spent_seconds(lately.hour)
        by_frequency = sorted(lately.failure_codes.items(), key=lambda one: (-one[1], one[0]))
        return cls(
            completed=of_status[TaskStatus.COMPLETED].tasks,
            failed=of_status[TaskStatus.FAILED].tasks,
            cancelled=of_status[TaskStatus.CANCELLED].tasks,
            gpu_seconds=spent.gpu_seconds,
            wasted_gpu_seconds=spent.wasted_gpu_seconds,
            failures=tuple(FailureCountResponse(code=code, tasks=tasks) for code, tasks in by_frequency),
        )


class OperationsResponse(ResponseBody):
    """The overall status of the system."""

    queue: QueueResponse
    workers: tuple[WorkerResponse, ...] = Field(description="Live workers, ordered by id.")
    last_hour: LastHourResponse
    conditions: tuple[AlertResponse, ...] = Field(description="The alerts, the most severe first.")


@blueprint.get("")
@doc("readOperations", {200: ResponseDoc("The state of the system.", OperationsResponse)})
def read() -> Response:
    """Read the state of the system."""
    state = current(ReadOperations)()
    workers = sorted(state.workload.workers, key=lambda report: report.worker_id)
    return json_response(
        OperationsResponse(
            queue=QueueResponse.of_all(state.queue, state.workload),
            workers=tuple(WorkerResponse.of(report) for report in workers),
            last_hour=LastHourResponse.of(state.lately),
            conditions=tuple(AlertResponse.of(alert) for alert in state.alerts),
        )
    )


def count_responses(app: Flask, count_status: Callable[[int], None], *, exempt_paths: frozenset[str]) -> None:
    """Pass the status of every response to the counter.

    Those of the probes are exempt, because their status reports the dependencies.
    """

    @app.after_request
    def count(answer: Response) -> Response:
        if request.path not in exempt_paths:
            count_status(answer.status_code)
        return answer
