"""/v1/keys: the caller's API keys."""

from flask import Blueprint, Response

from frontend_api.api_keys.package import ApiKeys
from frontend_api.api_keys.schemas import ApiKeyAnswer, ApiKeyListAnswer, ApiKeyRequest, CreatedApiKeyAnswer
from frontend_api.http.api_doc import Answer, Operation, described
from frontend_api.http.current import current
from frontend_api.http.requests import BAD_BODY, authenticate, caller, caller_id, json_body
from frontend_api.http.responses import json_answer
from frontend_api.identity.ports import Scope

blueprint = Blueprint("keys", __name__, url_prefix="/v1/keys")
blueprint.before_request(authenticate)

_ANY = ("unauthenticated", "dependency_unavailable")


@blueprint.post("")
@described(
    Operation(
        id="createApiKey",
        summary="Create an API key",
        tag="keys",
        scope=Scope.ADMIN,
        body=ApiKeyRequest,
        answers={201: Answer(meaning="The key, this once.", body=CreatedApiKeyAnswer)},
        problems=(*BAD_BODY, *_ANY, "too_many_api_keys"),
    )
)
def create() -> Response:
    """Create an API key for the caller."""
    asked = json_body(ApiKeyRequest)
    created = current(ApiKeys).create(
        caller(), name=asked.name, scopes=frozenset(asked.scopes), good_for=asked.good_for
    )
    return json_answer(CreatedApiKeyAnswer.of_created(created), 201)


@blueprint.get("")
@described(
    Operation(
        id="listApiKeys",
        summary="List your API keys",
        tag="keys",
        scope=Scope.ADMIN,
        answers={200: Answer(meaning="All of them, newest first.", body=ApiKeyListAnswer)},
        problems=_ANY,
    )
)
def list_all() -> Response:
    """Return the caller's keys, without their secrets."""
    keys = current(ApiKeys).store.list_for(caller_id())
    return json_answer(ApiKeyListAnswer(keys=tuple(ApiKeyAnswer.of(key) for key in keys)))


@blueprint.delete("/<key_id>")
@described(
    Operation(
        id="revokeApiKey",
        summary="Revoke an API key",
        tag="keys",
        scope=Scope.ADMIN,
        answers={204: Answer(meaning="Revoked, here at once and everywhere within seconds.")},
        problems=(*_ANY, "api_key_not_found"),
    )
)
def revoke(key_id: str) -> Response:
    """Revoke a key permanently."""
    current(ApiKeys).revoke(caller_id(), key_id)
    return Response(status=204)
