"""/v1/dead-letters: messages that Pub/Sub or a worker has abandoned. For operators only."""

from flask import Blueprint, Response

from frontend_api.dead_letters.package import DeadLetters
from frontend_api.dead_letters.schemas import (
    DeadLetterDetailResponse,
    DeadLetterListQuery,
    DeadLetterPageResponse,
    DeadLetterPurgeQuery,
    DeadLetterResponse,
    PurgeResponse,
)
from frontend_api.http.api_doc import ADMIN, ApiDoc, ResponseDoc
from frontend_api.http.request_log import log_task_id
from frontend_api.http.requests import authenticate_operator, current, query
from frontend_api.http.responses import json_response
from frontend_api.tasks.responses import TaskResponse
from frontend_api.tasks.routes import task_location, task_response

blueprint = Blueprint("dead_letters", __name__, url_prefix="/v1/dead-letters")
blueprint.before_request(authenticate_operator)
doc = ApiDoc(tag="dead letters", scopes=ADMIN)

_MAX_PURGED = 2_000
"""Limit per request, so that a purge completes within seconds."""


@blueprint.get("")
@doc(
    "listDeadLetters",
    {200: ResponseDoc("A page of dead letters.", DeadLetterPageResponse)},
    query=DeadLetterListQuery,
)
def list_page() -> Response:
    """List dead letters, newest first."""
    page_query = query(DeadLetterListQuery)
    page = current(DeadLetters).stored.list_page(
        page_size=page_query.page_size, page_token=page_query.page_token
    )
    letters = tuple(DeadLetterResponse.model_validate(letter) for letter in page.letters)
    return json_response(DeadLetterPageResponse(dead_letters=letters, next_page_token=page.next_page_token))


@blueprint.get("/<letter_id>")
@doc(
    "readDeadLetter",
    {200: ResponseDoc("The dead letter, with its body.", DeadLetterDetailResponse)},
    problems=("dead_letter_not_found",),
)
def read(letter_id: str) -> Response:
    """Read a dead letter."""
    return json_response(DeadLetterDetailResponse.of(current(DeadLetters).stored.get(letter_id)))


@blueprint.post("/<letter_id>/replay")
@doc(
    "replayDeadLetter",
    {202: ResponseDoc("The task is queued again, with all its attempts.", TaskResponse)},
    problems=(
        "dead_letter_not_found",
        "dead_letter_undecodable",
        "task_not_found",
        "invalid_transition",
        "parameters_rejected",
        "content_policy_violation",
    ),
)
def replay(letter_id: str) -> Response:
    """Queue a dead letter's task again.

    For a queued or processing task, publish another message, which is harmless.
    """
    task = current(DeadLetters).replay(letter_id)
    log_task_id(task.id)
    return task_response(task, 202, Location=task_location(task))


@blueprint.delete("/<letter_id>")
@doc(
    "deleteDeadLetter",
    {204: ResponseDoc("The dead letter was deleted. Its task does not change.")},
    problems=("dead_letter_not_found",),
)
def delete(letter_id: str) -> Response:
    """Delete a dead letter."""
    current(DeadLetters).stored.delete(letter_id)
    return Response(status=204)


@blueprint.delete("")
@doc(
    "purgeDeadLetters",
    {200: ResponseDoc("The number of deleted dead letters.", PurgeResponse)},
    query=DeadLetterPurgeQuery,
)
def purge() -> Response:
    """Delete old dead letters."""
    died_before = query(DeadLetterPurgeQuery).older_than
    deleted = current(DeadLetters).stored.purge(died_before=died_before, limit=_MAX_PURGED)
    return json_response(PurgeResponse(deleted=deleted, more=deleted == _MAX_PURGED))
