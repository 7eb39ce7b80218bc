"""/healthz: liveness. /readyz: whether the dependencies of a submission are reachable."""

from flask import Blueprint, Response

from frontend_api.health.readiness import CheckReadiness
from frontend_api.http.api_doc import Answer, Operation, described
from frontend_api.http.current import current
from frontend_api.http.responses import json_answer
from frontend_api.http.schemas import ResponseBody

blueprint = Blueprint("health", __name__)


class AliveAnswer(ResponseBody):
    """The process is alive."""

    status: str = "ok"


class DependencyAnswer(ResponseBody):
    """One dependency and its response time."""

    name: str
    reachable: bool
    latency_ms: float


class ReadyAnswer(ResponseBody):
    """Whether all dependencies of a submission are reachable."""

    status: str
    dependencies: tuple[DependencyAnswer, ...]


@blueprint.get("/healthz")
@described(
    Operation(
        id="isAlive",
        summary="Is the process alive?",
        tag="health",
        answers={200: Answer(meaning="It answers.", body=AliveAnswer)},
        secured=False,
    )
)
def alive() -> Response:
    """Return 200 always: restarting this process does not repair an unavailable dependency."""
    return json_answer(AliveAnswer())


@blueprint.get("/readyz")
@described(
    Operation(
        id="isReady",
        summary="Can it reach Firestore and Pub/Sub?",
        tag="health",
        answers={
            200: Answer(meaning="Every dependency answered.", body=ReadyAnswer),
            503: Answer(meaning="At least one did not; `dependencies` says which.", body=ReadyAnswer),
        },
        secured=False,
    )
)
def ready() -> Response:
    """Return the results of probes, which are at most one second old."""
    found = tuple(
        DependencyAnswer(
            name=one.name, reachable=one.is_reachable, latency_ms=round(one.latency_seconds * 1_000, 1)
        )
        for one in current(CheckReadiness)()
    )
    every = all(dependency.reachable for dependency in found)
    answer = ReadyAnswer(status="ready" if every else "unavailable", dependencies=found)
    return json_answer(answer) if every else json_answer(answer, 503, Retry_After="2")
