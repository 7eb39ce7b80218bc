"""Operations on links to pictures."""

from darkroom.calls import Calls, path_of, read_as
from darkroom.models.share import CreatedShare, Share, ShareList
from darkroom.models.task import TaskRef, id_of
from darkroom.sansio import Operation


def create(
    calls: Calls, task: TaskRef, image_index: int, expires_in_hours: int | None
) -> Operation[CreatedShare]:
    """Create a link. It is not retried if the outcome is unknown: the link may be in the list."""
    body = {"image_index": image_index, "expires_in_hours": expires_in_hours}
    request = calls.request("POST", path_of("tasks", id_of(task), "shares"), body=body)
    response = yield from calls.send(request, is_repeatable=False)
    created = read_as(CreatedShare, response)
    return created.model_copy(update={"url": calls.link(created.url, response.status_code)})


def list_active(calls: Calls, task: TaskRef) -> Operation[tuple[Share, ...]]:
    request = calls.request("GET", path_of("tasks", id_of(task), "shares"))
    return (yield from calls.fetch(ShareList, request)).shares


def revoke(calls: Calls, task: TaskRef, share_id: str) -> Operation[None]:
    return calls.delete(path_of("tasks", id_of(task), "shares", share_id))
