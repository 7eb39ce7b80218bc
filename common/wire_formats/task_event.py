"""Task events: start, progress and the final event of a task.

The id of a final event is a function of the task, its attempt, its status and its finish time.
Publishing it twice gives the same id, so that consumers can deduplicate by id. A retried task that
finishes a second time, perhaps before any other attempt, has another final event.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic_core import to_json

from common.domain.task import Task
from common.wire_formats.decoding import read_object
from common.wire_formats.versions import WIRE_VERSION, UndecodableError

_EVENT_IDS = uuid.UUID("6c0bdb0e-0d4f-5f0c-9d38-5a8c1f1f5f52")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One event of a task. `type` is `task.` and the terminal status, `started` or `progress`."""

    id: str
    type: str
    timestamp: AwareDatetime
    task_id: str
    user_id: str
    attempt: int


_EVENT = TypeAdapter(TaskEvent)


def ending_of(task: Task) -> TaskEvent:
    """Return the final event of a terminal task; the same on every call."""
    if task.finished_at is None:
        raise ValueError(f"task {task.id!r} has not ended")
    at = task.finished_at
    return _event(task, f"task.{task.status}", at, distinction=f"/{at.isoformat()}")


def start_of(task: Task) -> TaskEvent:
    """Return the start event of an attempt; the same on every call while the task is claimed."""
    return _event(task, "task.started", task.updated_at)


def progress_of(task: Task) -> TaskEvent:
    """Return a progress event of an attempt; one per phase and step."""
    step = f"/{task.progress.phase}/{task.progress.step}"
    return _event(task, "task.progress", task.updated_at, distinction=step)


def callback_event_of(event: TaskEvent) -> str:
    """Return the name for `callback_events`: `started`, `progress` or `finished`."""
    kind = event.type.removeprefix("task.")
    return kind if kind in ("started", "progress") else "finished"


def _event(task: Task, kind: str, at: datetime, *, distinction: str = "") -> TaskEvent:
    return TaskEvent(
        id=str(uuid.uuid5(_EVENT_IDS, f"{task.id}/{task.attempt}/{kind}{distinction}")),
        type=kind,
        timestamp=at,
        task_id=task.id,
        user_id=task.user_id,
        attempt=task.attempt,
    )


def encode_task_event(event: TaskEvent) -> bytes:
    """Return the message body of an event, JSON in UTF-8."""
    return to_json({"version": WIRE_VERSION, **asdict(event)})


def task_event_attributes(event: TaskEvent) -> dict[str, str]:
    """Return the attributes for subscription filters and deduplication."""
    return {"event_id": event.id, "type": event.type, "task_id": event.task_id}


def decode_task_event(body: bytes) -> TaskEvent:
    """Parse the message body of an event. Raises UndecodableError."""
    try:
        return _EVENT.validate_python(read_object(body, called="body"))
    except ValidationError as exc:
        raise UndecodableError("event fields are missing or of the wrong kind") from exc
