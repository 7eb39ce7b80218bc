"""/internal: for the scheduler and its like, never for people."""

from flask import Blueprint, Response, request

from frontend_api.answers import AnswerBody
from frontend_api.dependencies import wired
from frontend_api.operations import Answer, Operation, described
from frontend_api.rescue_verdicts import Verdict
from frontend_api.routes.answering import json_answer
from frontend_api.routes.requests import BAD_BODY, json_body
from frontend_api.schemas import RescueRequest

blueprint = Blueprint("internal", __name__, url_prefix="/internal")


class RescuedAnswer(AnswerBody):
    """What one round of rescue did, in tasks."""

    published: int
    abandoned: int
    left: int
    by_verdict: dict[Verdict, int]


class RemovedAnswer(AnswerBody):
    """What one round of removing expired tasks did, in tasks."""

    removed: int


@blueprint.before_request
def check_caller() -> None:
    """Only machines that the deployment names may call."""
    wired().internal_callers.check(dict(request.headers))


@blueprint.post("/rescue")
@described(
    Operation(
        id="rescueStaleTasks",
        summary="Bring back tasks that nobody will touch again",
        tag="internal",
        body=RescueRequest,
        body_required=False,
        answers={200: Answer(meaning="One round is done.", body=RescuedAnswer)},
        problems=(
            *BAD_BODY,
            "unauthenticated",
            "rescue_running",
            "dependency_unavailable",
        ),
    )
)
def rescue() -> Response:
    """One round of rescue. Safe to call at any time; while one runs, a second call is refused at once."""
    rescued = wired().rescue_stale_tasks(queue_lost_at=json_body(RescueRequest, optional=True).queue_lost_at)
    return json_answer(RescuedAnswer.model_validate(rescued, from_attributes=True))


@blueprint.post("/remove-expired")
@described(
    Operation(
        id="removeExpiredTasks",
        summary="Remove ended tasks whose time is up, with their objects",
        tag="internal",
        answers={200: Answer(meaning="One round is done.", body=RemovedAnswer)},
        problems=("unauthenticated", "dependency_unavailable"),
    )
)
def remove_expired() -> Response:
    """One round. Safe to call at any time, also twice at once."""
    return json_answer(RemovedAnswer(removed=wired().remove_expired_tasks()))
