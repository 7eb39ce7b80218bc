"""/v1/tasks/{id}/previews/{n}: the preview of an image that is being generated."""

from flask import Blueprint, Response

from frontend_api.http.current import current
from frontend_api.http.requests import authenticate, caller_id, checked_task_id
from frontend_api.http.responses import conditional
from frontend_api.openapi.operation import Answer, Operation, described
from frontend_api.tasks.package import Tasks

blueprint = Blueprint("previews", __name__, url_prefix="/v1/tasks/<task_id>/previews")
blueprint.before_request(authenticate)


@blueprint.get("/<int:index>")
@described(
    Operation(
        id="readPreview",
        summary="See an image emerge",
        tag="images",
        request_headers={"If-None-Match": "The ETag of the preview you have."},
        answers={
            200: Answer(
                meaning="A small JPEG of what is predicted so far.",
                media_type="image/jpeg",
                headers={"ETag": "Changes with the preview."},
            ),
            304: Answer(meaning="The preview that you have is the newest."),
        },
        problems=("unauthenticated", "task_not_found", "image_not_found", "dependency_unavailable"),
    )
)
def read(task_id: str, index: int) -> Response:
    """Return the newest preview of one image.

    None exists before the first steps, nor after the task has finished.
    """
    seen = current(Tasks).read.preview(caller_id(), checked_task_id(task_id), index)
    answer = Response(seen.preview.jpeg, content_type="image/jpeg")
    answer.set_etag(f"{seen.attempt}-{seen.preview.step}")
    answer.headers["Cache-Control"] = "private, no-cache"
    return conditional(answer)
