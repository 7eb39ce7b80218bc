"""/v1/keys: the caller's API keys."""

from flask import Blueprint, Response

from frontend_api.api_keys.api_keys import ApiKeys
from frontend_api.api_keys.schemas import (
    ApiKeyListResponse,
    ApiKeyRequest,
    ApiKeyResponse,
    CreatedApiKeyResponse,
)
from frontend_api.http.api_doc import ADMIN, ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate, caller, caller_id, current, json_body
from frontend_api.http.responses import json_response

blueprint = Blueprint("keys", __name__, url_prefix="/v1/keys")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="keys", scopes=ADMIN)


@blueprint.post("")
@doc(
    "createApiKey",
    {201: ResponseDoc("The new key. Its secret is not shown again.", CreatedApiKeyResponse)},
    problems=("too_many_api_keys",),
    body=ApiKeyRequest,
)
def create() -> Response:
    """Create an API key."""
    asked = json_body(ApiKeyRequest)
    created = current(ApiKeys).create(
        caller(), name=asked.name, scopes=frozenset(asked.scopes), good_for=asked.good_for
    )
    return json_response(CreatedApiKeyResponse.of_created(created), 201)


@blueprint.get("")
@doc("listApiKeys", {200: ResponseDoc("All keys, newest first.", ApiKeyListResponse)})
def list_all() -> Response:
    """List your API keys."""
    keys = current(ApiKeys).store.list_for(caller_id())
    return json_response(ApiKeyListResponse(keys=tuple(ApiKeyResponse.model_validate(key) for key in keys)))


@blueprint.delete("/<key_id>")
@doc(
    "revokeApiKey",
    {204: ResponseDoc("Revoked. All instances reject the key within seconds.")},
    problems=("api_key_not_found",),
)
def revoke(key_id: str) -> Response:
    """Revoke an API key."""
    current(ApiKeys).revoke(caller_id(), key_id)
    return Response(status=204)
