"""/internal: for the scheduler and its like, never for people."""

from flask import Blueprint, Response, request

from common.observability.metrics import TASKS_RESCUED, counter
from frontend_api.answers import AnswerBody
from frontend_api.dependencies import wired
from frontend_api.operations import Answer, Operation, described
from frontend_api.routes.answering import json_answer
from frontend_api.routes.requests import BAD_BODY, json_body
from frontend_api.schemas import RescueRequest

blueprint = Blueprint("internal", __name__, url_prefix="/internal")
_rescued = counter(TASKS_RESCUED)


class RescuedAnswer(AnswerBody):
    """What one round of rescue did, in tasks."""

    published: int
    abandoned: int
    left: int


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
            "dependency_unavailable",
        ),
    )
)
def rescue() -> Response:
    """One round of rescue. Safe to call at any time, also twice at once."""
    rescued = wired().rescue_stale_tasks(queue_lost_at=json_body(RescueRequest, optional=True).queue_lost_at)
    _rescued.add(rescued.published, {"outcome": "published"})
    _rescued.add(rescued.abandoned, {"outcome": "abandoned"})
    return json_answer(RescuedAnswer.model_validate(rescued, from_attributes=True))
