"""How answers are written: JSON from pydantic, with the caching that each deserves."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from common.domain.task import Task
from frontend_api.answers import TaskAnswer, signed_links
from frontend_api.dependencies import Dependencies, wired


def json_answer(body: BaseModel, status: int = 200, **headers: str) -> Response:
    """A JSON answer that no cache keeps."""
    return _answer(_written(body), status, "private, no-store", headers)


# A link is new each time, but its age counts: a 304 must not keep a link alive that has expired.
_CHANGES_BY_ITSELF: Any = {
    "queue_position": True,
    "eta": True,
    "model_served": True,
    "images": {"__all__": {"url"}},
}


def _etag(answer: TaskAnswer, task: Task) -> str:
    """Not of the stored document: claims are renewed in it, and more is noted there, that no owner is told."""
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
    """A task as its owner is told of it. The ETag changes whenever that does, but for what changes by itself."""

    json: str
    etag: str
    is_last: bool
    """The task has ended."""

    @classmethod
    def of(cls, task: Task, wired: Dependencies) -> "Snapshot":
        """With signed links to the images, where they can be had, and with what can be foretold."""
        links = signed_links(task, wired.image_links)
        answer = TaskAnswer.of(task, links, outlook=wired.foretell_task(task), price=wired.gpu_price)
        return cls(json=_written(answer), etag=_etag(answer, task), is_last=task.status.is_terminal)


def task_answer(task: Task, status: int = 200, **headers: str) -> Response:
    """A task, with its ETag."""
    snapshot = Snapshot.of(task, wired())
    # Kept, but asked about each time: If-None-Match then costs no body.
    answer = _answer(snapshot.json, status, "private, no-cache", headers)
    answer.set_etag(snapshot.etag)
    return answer


def conditional(answer: Response) -> Response:
    """304 without a body when the caller has this very answer."""
    answer.make_conditional(request)
    return answer
