"""/v1/queue: queue depth, age of the oldest task, backlog in GPU seconds, workers, and throughput."""

from datetime import datetime
from typing import Any, Self

from flask import Blueprint, Response
from pydantic import Field

from frontend_api.estimates.package import Estimates
from frontend_api.estimates.workload import Workload
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate, current
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody, RoundedSeconds, fields_of
from frontend_api.stats.ports import QueueLine
from frontend_api.stats.queue import LATELY, QueueState, ReadQueue

blueprint = Blueprint("queue", __name__, url_prefix="/v1/queue")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="queue")


class QueueLineResponse(ResponseBody):
    """The queue of one model or of all models."""

    queued: int
    oldest_seconds: RoundedSeconds | None = Field(description="Age of the oldest queued task.")
    processing: int
    completed_per_minute: RoundedSeconds = Field(description="Average of the last five minutes.")
    backlog_gpu_seconds: RoundedSeconds | None = Field(
        description="Time that one worker needs for all unfinished tasks; null if a model has no measured times."
    )
    workers: int = Field(description="Live workers that serve the model.")

    @classmethod
    def of(
        cls, line: QueueLine, as_of: datetime, *, gpu_seconds: float | None, workers: int, **more: Any
    ) -> Self:
        """Build the response; `more` are the fields of a subclass."""
        oldest = line.oldest_queued_at
        return cls.model_validate(
            {
                **fields_of(line),
                "as_of": as_of,
                "oldest_seconds": None if oldest is None else max(0.0, (as_of - oldest).total_seconds()),
                "completed_per_minute": line.completed_lately * 60 / LATELY.total_seconds(),
                "backlog_gpu_seconds": gpu_seconds,
                "workers": workers,
                **more,
            }
        )


class ModelQueueResponse(QueueLineResponse):
    """The queue of one model."""

    model: str


class QueueResponse(QueueLineResponse):
    """The queue of all callers' tasks, without their owners."""

    as_of: datetime = Field(description="Time of the measurement, normally at most two seconds ago.")
    dead_letters: int = Field(description="Number of stored dead letters.")
    unserved_models: tuple[str, ...] = Field(
        description="Models that no live worker serves. Their tasks wait."
    )
    models: tuple[ModelQueueResponse, ...]

    @classmethod
    def of_all(cls, state: QueueState, workload: Workload) -> "QueueResponse":
        models = tuple(
            ModelQueueResponse.of(
                line,
                state.as_of,
                gpu_seconds=workload.gpu_seconds_left(model),
                workers=len(workload.workers_of(model)),
                model=model,
            )
            for model, line in state.by_model.items()
        )
        return cls.of(
            state.all_models,
            state.as_of,
            gpu_seconds=workload.all_gpu_seconds_left,
            workers=len(workload.workers),
            dead_letters=state.dead_letters,
            unserved_models=tuple(model.model for model in models if model.workers == 0),
            models=models,
        )


@blueprint.get("")
@doc("readQueue", {200: ResponseDoc("The queue in total and per model.", QueueResponse)})
def read() -> Response:
    """Read the queue's length and throughput."""
    return json_response(QueueResponse.of_all(current(ReadQueue)(), current(Estimates).workload_cache()))
