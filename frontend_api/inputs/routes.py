"""/v1/inputs: upload, read and delete the pictures that tasks start from."""

import re

from flask import Blueprint, Response, request

from common.domain.inputs import INPUT_ID_PATTERN
from common.picture_header import MEDIA_TYPES
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.requests import authenticate, caller_id, current, json_body
from frontend_api.http.response_memory import reserve_memory
from frontend_api.http.responses import cached, json_response, own_address
from frontend_api.inputs.package import Inputs
from frontend_api.inputs.request_body import FileForm, uploaded_picture
from frontend_api.inputs.responses import PATH, InputResponse, StartedUploadResponse
from frontend_api.inputs.schemas import UploadCompletion, UploadStart
from frontend_api.inputs.stored_input import InputNotFoundError, StoredInput
from frontend_api.inputs.upload import Uploaded
from frontend_api.quotas.headers import limit_rejections

blueprint = Blueprint("inputs", __name__, url_prefix=PATH)
blueprint.before_request(authenticate)
resumable = Blueprint("resumable_uploads", __name__, url_prefix="/v1")
resumable.before_request(authenticate)
doc = ApiDoc(tag="inputs")

PICTURE_PROBLEMS = (
    "picture_type_not_supported",
    "picture_animated",
    "picture_damaged",
    "picture_too_large",
    "too_many_inputs",
)
"""What may be wrong with an uploaded picture."""
_LOCATION = {"Location": "The URL of the input."}
_A_DAY = 86_400


@blueprint.post("")
@doc(
    "uploadInput",
    {
        201: ResponseDoc("The picture is stored.", InputResponse, headers=_LOCATION),
        200: ResponseDoc(
            "You have this picture already; it expires later now.", InputResponse, headers=_LOCATION
        ),
    },
    problems=PICTURE_PROBLEMS,
    raw_body=MEDIA_TYPES,
    form=FileForm,
)
def upload() -> Response:
    """Upload a picture for tasks to start from.

    The body is the file itself, or a form with the part `file`. The file's own bytes decide its
    type.
    """
    limit_rejections()
    inputs = current(Inputs)
    content = uploaded_picture(max_bytes=inputs.limits.bytes_each)
    return upload_response(inputs.upload(caller_id(), content))


def upload_response(uploaded: Uploaded) -> Response:
    address = _address_of(uploaded.stored)
    body = InputResponse.of(uploaded.stored, address=address)
    return json_response(body, 201 if uploaded.is_new else 200, Location=address)


@resumable.post("/inputs:start")
@doc(
    "startUpload",
    {201: ResponseDoc("The upload. Send the file to `upload_url`.", StartedUploadResponse)},
    problems=("too_many_inputs",),
    body=UploadStart,
)
def start_upload() -> Response:
    """Start a resumable upload, for large pictures or unreliable networks."""
    limit_rejections()
    body = json_body(UploadStart)
    started = current(Inputs).resumable.start(
        caller_id(),
        size_bytes=body.size_bytes,
        content_type=body.content_type,
        origin=request.headers.get("Origin"),
    )
    answer = StartedUploadResponse(
        upload_id=started.id, upload_url=started.url, expires_at=started.expires_at
    )
    return json_response(answer, 201)


@resumable.post("/inputs:complete")
@doc(
    "completeUpload",
    {
        201: ResponseDoc("The picture is stored.", InputResponse, headers=_LOCATION),
        200: ResponseDoc("You have this picture already.", InputResponse, headers=_LOCATION),
    },
    problems=("upload_not_found", *PICTURE_PROBLEMS),
    body=UploadCompletion,
)
def complete_upload() -> Response:
    """Store the picture of a resumable upload. May be repeated."""
    limit_rejections()
    body, inputs = json_body(UploadCompletion), current(Inputs)
    reserve_memory(inputs.limits.bytes_each)  # the file's own size is unknown before it is read
    return upload_response(inputs.resumable.complete(caller_id(), body.upload_id, sha256=body.sha256))


@blueprint.get("/<input_id>")
@doc("readInput", {200: ResponseDoc("The input.", InputResponse)}, problems=("input_not_found",))
def read(input_id: str) -> Response:
    """Read the description of an input."""
    stored = _own(input_id)
    return json_response(InputResponse.of(stored, address=_address_of(stored)))


@blueprint.get("/<input_id>/content")
@doc(
    "readInputContent",
    {
        200: ResponseDoc(
            "The bytes as they were uploaded.", media_type="image/*", headers={"ETag": "The id."}
        ),
        304: ResponseDoc("You have the picture."),
    },
    problems=("input_not_found",),
    headers={"If-None-Match": "The ETag of an earlier response."},
)
def read_content(input_id: str) -> Response:
    """Fetch the picture of an input."""
    stored = _own(input_id)
    response = Response(content_type=stored.content_type)
    response.set_etag(stored.id)
    if request.if_none_match.contains(stored.id):
        response.status_code = 304
    else:
        reserve_memory(stored.size_bytes)
        response.set_data(current(Inputs).store.read(stored))
    return cached(response, seconds=_A_DAY, immutable=True)  # an id is the hash of the bytes


@blueprint.delete("/<input_id>")
@doc("deleteInput", {204: ResponseDoc("The input is deleted.")}, problems=("input_not_found", "input_in_use"))
def delete(input_id: str) -> Response:
    """Delete an input that no task uses."""
    current(Inputs).delete(caller_id(), _checked(input_id))
    return Response(status=204)


def _address_of(stored: StoredInput) -> str:
    return own_address(f"{PATH}/{stored.id}")


def _own(input_id: str) -> StoredInput:
    return current(Inputs).read(caller_id(), _checked(input_id))


def _checked(input_id: str) -> str:
    """Return a well-formed id. Raises InputNotFoundError for any other, without a read of the store."""
    if not re.fullmatch(INPUT_ID_PATTERN, input_id):
        raise InputNotFoundError(input_id)
    return input_id
