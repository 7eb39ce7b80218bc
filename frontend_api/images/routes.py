"""/v1/tasks/{id}/images/{n} and /v1/tasks/{id}/previews/{n}: finished images, thumbnails, previews.

An image is a redirect to a signed link where links can be signed, else its bytes. Callers with
`X-API-Key` always get the bytes.
"""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from common.domain.images import StoredImage
from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Problem, RequestRefusedError
from frontend_api.http.requests import authenticate, caller_id, checked_task_id, current
from frontend_api.http.response_memory import reserve_memory
from frontend_api.http.responses import cached, conditional
from frontend_api.images.ports import Images
from frontend_api.tasks.package import Tasks
from frontend_api.tasks.read import ImageNotFoundError

blueprint = Blueprint("images", __name__, url_prefix="/v1/tasks/<task_id>/images")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="images")

_A_YEAR = 31_536_000
_EXTENSIONS = {
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg"),
    "image/webp": ("webp",),
    "image/avif": ("avif",),
}
"""The extensions of each format; files are named with the first."""
_RESPONSES = {
    200: ResponseDoc(
        "The image's bytes, if links cannot be signed (as in the local stack) or the request has `X-API-Key`.",
        media_type="image/*",
        headers={"ETag": "The SHA-256 of the bytes."},
    ),
    206: ResponseDoc("The requested range of bytes.", media_type="image/*"),
    302: ResponseDoc(
        "A redirect to the image in the bucket.", headers={"Location": "A signed link, which expires."}
    ),
    304: ResponseDoc("The image has not changed since the response with this ETag."),
}
_PROBLEMS = ("task_not_found", "image_not_found", "range_not_satisfiable")
_REQUEST_HEADERS = {
    "If-None-Match": "The ETag of an earlier response.",
    "Range": "One range of bytes; several ranges and other units are ignored.",
}


@blueprint.get("/<int:index>")
@doc("readImage", _RESPONSES, problems=_PROBLEMS, headers=_REQUEST_HEADERS)
def read(task_id: str, index: int) -> Response:
    """Fetch an image."""
    return _answer(task_id, current(Tasks).read.image(caller_id(), checked_task_id(task_id), index))


@blueprint.get("/<int:index>.<extension>")
@doc("readImageFile", _RESPONSES, problems=_PROBLEMS, headers=_REQUEST_HEADERS)
def read_file(task_id: str, index: int, extension: str) -> Response:
    """Fetch an image by the name of its file."""
    image = current(Tasks).read.image(caller_id(), checked_task_id(task_id), index)
    names = [f"{index}.{each}" for each in _EXTENSIONS.get(image.content_type, ())]
    if f"{index}.{extension}" not in names:
        raise ImageNotFoundError(f"image {index} has another format; its name is {' or '.join(names)}")
    return _answer(task_id, image)


@blueprint.get("/<int:index>/thumbnail")
@doc(
    "readThumbnail",
    {
        200: ResponseDoc(
            "The bytes of a small version, at most 512 pixels wide and high; of the image itself if it has none.",
            media_type="image/*",
            headers={"ETag": "The SHA-256 of the bytes."},
        ),
        206: _RESPONSES[206],
        304: _RESPONSES[304],
    },
    problems=_PROBLEMS,
    headers=_REQUEST_HEADERS,
)
def read_thumbnail(task_id: str, index: int) -> Response:
    """Fetch a thumbnail of an image."""
    image = current(Tasks).read.image(caller_id(), checked_task_id(task_id), index)
    return _bytes_answer(task_id, image.smallest)


def _answer(task_id: str, image: StoredImage) -> Response:
    # Clients follow a redirect with their own headers: a key in one of them would reach the bucket's host.
    link = None if "X-API-Key" in request.headers else current(Images).links.signed(image)
    if link is not None:
        return Response(status=302, headers={"Location": link.url, "Cache-Control": "private, no-store"})
    return _bytes_answer(task_id, image)


def _bytes_answer(task_id: str, image: StoredImage) -> Response:
    response = Response(content_type=image.content_type)
    response.set_etag(image.sha256)
    if request.if_none_match.contains(image.sha256):
        response.status_code = 304
    else:
        reserve_memory(image.size_bytes)
        response.set_data(current(Images).bucket.read(image))
        response.headers["Accept-Ranges"] = "bytes"
        if _asks_for_one_range():
            _reduce_to_range(response, image)
    extension = _EXTENSIONS.get(image.content_type, ("bin",))[0]
    name = f"darkroom-{task_id}-{image.index}.{extension}"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    # Object names contain the attempt number, so their bytes never change.
    return cached(response, seconds=_A_YEAR, immutable=True)


def _asks_for_one_range() -> bool:
    """Return whether the Range header is one that this route supports; others are ignored (RFC 9110)."""
    return request.range is not None and request.range.units == "bytes" and len(request.range.ranges) == 1


def _reduce_to_range(response: Response, image: StoredImage) -> None:
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=image.size_bytes)
        response.make_sequence()  # releases the other bytes
    except RequestedRangeNotSatisfiable as exc:
        problem = Problem(
            code="range_not_satisfiable",
            detail=f"the image has {image.size_bytes} bytes",
            headers={"Content-Range": f"bytes */{image.size_bytes}"},
        )
        raise RequestRefusedError(problem) from exc


previews = Blueprint("previews", __name__, url_prefix="/v1/tasks/<task_id>/previews")
previews.before_request(authenticate)


@previews.get("/<int:index>")
@doc(
    "readPreview",
    {
        200: ResponseDoc(
            "A small JPEG of the current prediction.",
            media_type="image/jpeg",
            headers={"ETag": "Changes whenever the preview changes."},
        ),
        304: ResponseDoc("The preview has not changed since the response with this ETag."),
    },
    problems=("task_not_found", "image_not_found"),
    headers={"If-None-Match": "The ETag of an earlier response."},
)
def read_preview(task_id: str, index: int) -> Response:
    """Fetch the preview of an image in progress.

    None exists before the first steps, nor after the task has finished.
    """
    task, preview = current(Tasks).read.preview(caller_id(), checked_task_id(task_id), index)
    response = Response(preview.jpeg, content_type="image/jpeg")
    response.set_etag(f"{task.attempt}-{preview.step}")
    response.headers["Cache-Control"] = "private, no-cache"
    return conditional(response)
