"""/v1/tasks/{id}/shares for owners, and /s/{token} for every holder of a link."""

import structlog
from flask import Blueprint, Response, request

from frontend_api.http.api_doc import CHANGE_AND_READ, ApiDoc, ResponseDoc
from frontend_api.http.requests import (
    authenticate,
    caller_id,
    checked_task_id,
    current,
    json_body,
)
from frontend_api.http.response_memory import reserve_memory
from frontend_api.http.responses import conditional, json_response, own_address
from frontend_api.identity.request_rate import RequestRateExceededError
from frontend_api.images.ports import ImageGoneError, Images
from frontend_api.shares.package import Sharing
from frontend_api.shares.page import (
    PAGE_POLICY,
    not_found_page,
    picture_page,
    too_many_requests_page,
)
from frontend_api.shares.picture_files import UnknownFileError, without_metadata
from frontend_api.shares.schemas import (
    CreatedShareResponse,
    ShareListResponse,
    ShareRequest,
    ShareResponse,
)
from frontend_api.shares.share import ShareNotFoundError
from frontend_api.tasks.package import Tasks

_log = structlog.get_logger(__name__)

blueprint = Blueprint("shares", __name__, url_prefix="/v1/tasks/<task_id>/shares")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="shares", problems=("task_not_found",))


@blueprint.post("")
@doc(
    "createShare",
    {201: ResponseDoc("The new link. Its address is not shown again.", CreatedShareResponse)},
    problems=("image_not_found", "sharing_not_offered", "too_many_shares"),
    body=ShareRequest,
    body_required=False,
    scopes=CHANGE_AND_READ,
)
def create(task_id: str) -> Response:
    """Create a link that shows one picture and its prompt to any holder."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    asked = json_body(ShareRequest, optional=True)
    created = current(Sharing).shares.create(task, image_index=asked.image_index, lifetime=asked.lifetime)
    url = own_address(f"/s/{created.token}")
    return json_response(CreatedShareResponse.of_created(created, url=url), 201)


@blueprint.get("")
@doc("listShares", {200: ResponseDoc("The links that work, newest first.", ShareListResponse)})
def list_active(task_id: str) -> Response:
    """List a task's links."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    shares = current(Sharing).shares.active(task)
    return json_response(
        ShareListResponse(shares=tuple(ShareResponse.model_validate(share) for share in shares))
    )


@blueprint.delete("/<share_id>")
@doc("revokeShare", {204: ResponseDoc("The link shows nothing any more.")}, problems=("share_not_found",))
def revoke(task_id: str, share_id: str) -> Response:
    """Revoke a link."""
    task = current(Tasks).read(caller_id(), checked_task_id(task_id))
    current(Sharing).shares.revoke(task, share_id)
    return Response(status=204)


links = Blueprint("links", __name__, url_prefix="/s/<token>")


@links.before_request
def limit_visitors() -> None:
    """Count the request, before any read of the store, by the visitor's network address."""
    sharing = current(Sharing)
    sharing.visits.count(sharing.proxies.network_of(request.environ))


@links.after_request
def hide_from_search_engines(answer: Response) -> Response:
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@links.get("")
def page(token: str) -> Response:
    """Return the page with the picture and its prompt."""
    sharing = current(Sharing)
    picture = sharing.shares.resolve(token)
    origin = sharing.origin or request.host_url.removesuffix("/")
    return _page(picture_page(picture, address=f"{origin}{own_address(f'/s/{token}')}"))


@links.get("/image")
def image(token: str) -> Response:
    """Return the picture's bytes, without the parameters that its file contains.

    No redirect to the bucket: the object's name contains the task's id.
    """
    shared = current(Sharing).shares.resolve(token).image
    etag = shared.sha256[:32]
    answer = Response(content_type=shared.content_type)
    if not request.if_none_match.contains(etag):
        reserve_memory(shared.size_bytes)
        answer.set_data(without_metadata(current(Images).bucket.read(shared), shared.content_type))
    answer.set_etag(etag)
    answer.headers["Cache-Control"] = "private, no-cache"  # a cache must not outlive the link
    extension = shared.content_type.partition("/")[2]
    answer.headers["Content-Disposition"] = f'inline; filename="darkroom.{extension}"'
    return conditional(answer)


@links.errorhandler(ShareNotFoundError)
@links.errorhandler(ImageGoneError)
def answer_not_found(_error: Exception) -> Response:
    """Return the same page for every link that shows nothing."""
    return _page(not_found_page(), 404)


@links.errorhandler(UnknownFileError)
def answer_unknown_file(error: UnknownFileError) -> Response:
    _log.warning("shared_file_refused", reason=str(error))
    return _page(not_found_page(), 404)


@links.errorhandler(RequestRateExceededError)
def answer_too_many_requests(error: RequestRateExceededError) -> Response:
    answer = _page(too_many_requests_page(), 429)
    answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return answer


def _page(html: str, status: int = 200) -> Response:
    answer = Response(html, status=status, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
