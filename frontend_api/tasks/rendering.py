"""Render tasks for their owners: JSON with an ETag, with links to the images where they can be signed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.domain.task import Task
from common.wire_formats.task_event import TaskEvent
from frontend_api.estimates.estimate import NO_ESTIMATE, Estimate
from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.images.ports import ImageLinks, SignedLink
from frontend_api.tasks.responses import NO_LINKS, TaskResponse, WebhookBody
from frontend_api.usage.usage import GpuPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A task as its owner sees it.

    The ETag changes with every field except those that change without the task.
    """

    json: str
    etag: str
    is_last: bool
    """Whether the task is in a terminal state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderTask:
    image_links: ImageLinks
    estimator: TaskEstimator
    price: GpuPrice | None
    base_path: str = ""

    def __call__(self, task: Task) -> Snapshot:
        """Serialize a task with links to its images where they can be signed, position and ETA."""
        links = signed_links(task, self.image_links)
        return _snapshot(task, self.response(task, links, estimate=self.estimator(task)))

    def listed(self, task: Task) -> Snapshot:
        """Serialize a task as one of a list: without signed links, position and ETA."""
        return _snapshot(task, self.response(task))

    def response(
        self, task: Task, links: Mapping[int, SignedLink] = NO_LINKS, *, estimate: Estimate = NO_ESTIMATE
    ) -> TaskResponse:
        return TaskResponse.of(task, links, estimate=estimate, price=self.price, base_path=self.base_path)

    def webhook_body(self, event: TaskEvent, task: Task) -> bytes:
        """Build the body of an event, with links to the images where they can be signed."""
        response = self.response(task, signed_links(task, self.image_links))
        body = WebhookBody(type=event.type, timestamp=event.timestamp, data=response)
        return body.model_dump_json(by_alias=True).encode()


# Fields that the ETag ignores because they change without a change of the task. Only the URL of an
# image link is ignored, not its expiry: a 304 must not keep an expired link in use.
_CHANGES_BY_ITSELF: Any = {
    "queue_position": True,
    "eta": True,
    "model_served": True,
    "images": {"__all__": {"url"}},
}


def _snapshot(task: Task, response: TaskResponse) -> Snapshot:
    return Snapshot(
        json=response.model_dump_json(by_alias=True),
        etag=_etag(response),
        is_last=task.status.is_terminal,
    )


def _etag(response: TaskResponse) -> str:
    """Return the ETag of the owner-visible fields.

    The stored document also changes with claim renewals and internal fields.
    """
    visible = response.model_dump_json(exclude=_CHANGES_BY_ITSELF)
    return hashlib.sha256(visible.encode()).hexdigest()[:20]


def signed_links(task: Task, image_links: ImageLinks) -> dict[int, SignedLink]:
    """Return the signed links of a task's images by index, for images whose link can be signed now.

    The API's own image URLs work without them.
    """
    signed = ((image.index, image_links.signed(image)) for image in task.images)
    return {index: link for index, link in signed if link is not None}
