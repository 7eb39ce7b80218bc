"""/v1/dead-letters: messages that Pub/Sub or a worker has abandoned. For operators only."""

from flask import Blueprint, Response

from frontend_api.dead_letters.package import DeadLetters
from frontend_api.dead_letters.responses import (
    DeadLetterDetailResponse,
    DeadLetterPageResponse,
    DeadLetterResponse,
    PurgeResponse,
)
from frontend_api.dead_letters.schemas import DeadLetterListQuery, DeadLetterPurgeQuery
from frontend_api.http.api_doc import Answer, Operation, described
from frontend_api.http.current import current
from frontend_api.http.request_log import note_task
from frontend_api.http.requests import authenticate_operator, query
from frontend_api.http.responses import json_answer
from frontend_api.identity.ports import Scope
from frontend_api.tasks.responses import TaskResponse, task_path
from frontend_api.tasks.routes import task_answer

blueprint = Blueprint("dead_letters", __name__, url_prefix="/v1/dead-letters")
blueprint.before_request(authenticate_operator)

_ANY = ("unauthenticated", "forbidden", "dependency_unavailable")
_ONE = (*_ANY, "dead_letter_not_found")
_MOST_PURGED = 2_000
"""Limit per request, so that a purge completes within seconds."""


@blueprint.get("")
@described(
    Operation(
        id="listDeadLetters",
        summary="List dead letters, newest first",
        scope=Scope.ADMIN,
        tag="dead letters",
        query=DeadLetterListQuery,
        answers={200: Answer(meaning="One page.", body=DeadLetterPageResponse)},
        problems=(*_ANY, "parameters_rejected"),
    )
)
def list_page() -> Response:
    """Return a page of all dead letters, without their bodies."""
    asked = query(DeadLetterListQuery)
    page = current(DeadLetters).stored.list_page(page_size=asked.page_size, page_token=asked.page_token)
    letters = tuple(DeadLetterResponse.model_validate(letter) for letter in page.letters)
    return json_answer(DeadLetterPageResponse(dead_letters=letters, next_page_token=page.next_page_token))


@blueprint.get("/<letter_id>")
@described(
    Operation(
        id="readDeadLetter",
        summary="Read a dead letter",
        scope=Scope.ADMIN,
        tag="dead letters",
        answers={200: Answer(meaning="The letter, with its body.", body=DeadLetterDetailResponse)},
        problems=_ONE,
    )
)
def read(letter_id: str) -> Response:
    """Return one dead letter with all its fields."""
    return json_answer(DeadLetterDetailResponse.of(current(DeadLetters).stored.get(letter_id)))


@blueprint.post("/<letter_id>/replay")
@described(
    Operation(
        id="replayDeadLetter",
        summary="Give a dead letter's task another chance",
        scope=Scope.ADMIN,
        tag="dead letters",
        answers={202: Answer(meaning="The task is queued, with all its attempts.", body=TaskResponse)},
        problems=(*_ONE, "dead_letter_undecodable", "task_not_found", "invalid_transition"),
    )
)
def replay(letter_id: str) -> Response:
    """Resubmit a failed task.

    For a queued or processing task, publish another message, which is harmless.
    """
    task = current(DeadLetters).replay(letter_id)
    note_task(task.id)
    return task_answer(task, 202, Location=task_path(task.id))


@blueprint.delete("/<letter_id>")
@described(
    Operation(
        id="deleteDeadLetter",
        summary="Delete a dead letter",
        scope=Scope.ADMIN,
        tag="dead letters",
        answers={204: Answer(meaning="Gone. Its task, if there is one, stays as it is.")},
        problems=_ONE,
    )
)
def delete(letter_id: str) -> Response:
    """Delete one dead letter."""
    current(DeadLetters).stored.delete(letter_id)
    return Response(status=204)


@blueprint.delete("")
@described(
    Operation(
        id="purgeDeadLetters",
        summary="Delete old dead letters",
        scope=Scope.ADMIN,
        tag="dead letters",
        query=DeadLetterPurgeQuery,
        answers={200: Answer(meaning="So many are gone.", body=PurgeResponse)},
        problems=(*_ANY, "parameters_rejected"),
    )
)
def purge() -> Response:
    """Delete the dead letters from before a given time, oldest first."""
    died_before = query(DeadLetterPurgeQuery).older_than
    deleted = current(DeadLetters).stored.purge(died_before=died_before, limit=_MOST_PURGED)
    return json_answer(PurgeResponse(deleted=deleted, more=deleted == _MOST_PURGED))
