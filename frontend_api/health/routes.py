"""/healthz: liveness. /readyz: whether the dependencies of a submission are reachable."""

from flask import Blueprint, Response

from frontend_api.health.readiness import CheckReadiness
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.requests import current
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import ResponseBody

blueprint = Blueprint("health", __name__)
doc = ApiDoc(tag="health", secured=False)


class AliveResponse(ResponseBody):
    """The process is alive."""

    status: str = "ok"


class DependencyResponse(ResponseBody):
    """One dependency and its response time."""

    name: str
    reachable: bool
    latency_ms: float


class ReadyResponse(ResponseBody):
    """Whether all dependencies of a submission are reachable."""

    status: str
    dependencies: tuple[DependencyResponse, ...]


@blueprint.get("/healthz")
@doc("isAlive", {200: ResponseDoc("The process is alive.", AliveResponse)})
def alive() -> Response:
    """Check whether the process is alive."""
    return json_response(AliveResponse())


@blueprint.get("/readyz")
@doc(
    "isReady",
    {
        200: ResponseDoc("All dependencies answered.", ReadyResponse),
        503: ResponseDoc("At least one dependency did not answer: see `dependencies`.", ReadyResponse),
    },
)
def ready() -> Response:
    """Check whether Firestore and Pub/Sub are reachable."""
    found = tuple(
        DependencyResponse(
            name=one.name, reachable=one.is_reachable, latency_ms=round(one.latency_seconds * 1_000, 1)
        )
        for one in current(CheckReadiness)()
    )
    every = all(dependency.reachable for dependency in found)
    answer = ReadyResponse(status="ready" if every else "unavailable", dependencies=found)
    return json_response(answer) if every else json_response(answer, 503, Retry_After="2")
