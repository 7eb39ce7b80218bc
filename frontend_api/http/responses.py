"""Responses: JSON from pydantic models, with the Cache-Control and ETag headers of each kind."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from common.domain.task import Task
from frontend_api.dependencies import Dependencies, wired
from frontend_api.tasks.responses import TaskResponse, signed_links


def json_answer(body: BaseModel, status: int = 200, **headers: str) -> Response:
    """Return a JSON response that no cache may store."""
    return _answer(_written(body), status, "private, no-store", headers)


# Fields that the ETag ignores because they change without a change of the task. Only the URL of an
# image link is ignored, not its expiry: a 304 must not keep an expired link in use.
_CHANGES_BY_ITSELF: Any = {
    "queue_position": True,
    "eta": True,
    "model_served": True,
    "images": {"__all__": {"url"}},
}


def _etag(answer: TaskResponse, task: Task) -> str:
    """Return the ETag of the owner-visible fields.

    The stored document also changes with claim renewals and internal fields.
    """
    lasting = answer.model_dump_json(exclude=_CHANGES_BY_ITSELF)
    previews = [(preview.index, preview.step) for preview in task.previews]
    return hashlib.sha256(f"{lasting}{previews}".encode()).hexdigest()[:20]


def _written(body: BaseModel) -> str:
    return body.model_dump_json(by_alias=True)


def _answer(json: str, status: int, caching: str, headers: Mapping[str, str]) -> Response:
    answer = Response(json, status=status, content_type="application/json")
    answer.headers["Cache-Control"] = caching
    for name, value in headers.items():
        answer.headers[name.replace("_", "-")] = value
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A task as its owner sees it.

    The ETag changes with every field except those that change without the task.
    """

    json: str
    etag: str
    is_last: bool
    """Whether the task is in a terminal state."""

    @classmethod
    def of(cls, task: Task, wired: Dependencies) -> "Snapshot":
        """Serialize the task, with signed links to its images where available, and with position
        and ETA.
        """
        links = signed_links(task, wired.image_links)
        answer = TaskResponse.of(task, links, estimate=wired.estimator(task), price=wired.gpu_price)
        return cls(json=_written(answer), etag=_etag(answer, task), is_last=task.status.is_terminal)


def task_answer(task: Task, status: int = 200, **headers: str) -> Response:
    """Return a task with its ETag."""
    snapshot = Snapshot.of(task, wired())
    # Caches may store it but must revalidate each time. With If-None-Match, a 304 has no body.
    answer = _answer(snapshot.json, status, "private, no-cache", headers)
    answer.set_etag(snapshot.etag)
    return answer


def conditional(answer: Response) -> Response:
    """Return 304 without a body when the caller's If-None-Match matches."""
    answer.make_conditional(request)
    return answer
