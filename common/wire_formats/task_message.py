"""The Pub/Sub message that carries a task to a worker. It is self-contained."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from common.domain.parameters import GenerationParameters
from common.domain.task import Task
from common.wire_formats.decoding import first_complaint, read_object
from common.wire_formats.versions import WIRE_VERSION, UndecodableError

MAX_BODY_BYTES = 1_000_000
"""Far above the size of any accepted task; larger bodies are rejected without parsing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMessage:
    """The task as of its publication; the worker reads the current one from the store."""

    task_id: str
    user_id: str
    submitted_at: datetime
    parameters: GenerationParameters
    result_bucket: str
    callback_url: str | None = None


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: str
    task_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")
    user_id: str = Field(min_length=1, max_length=256)
    submitted_at: AwareDatetime
    payload: GenerationParameters
    result_bucket: str = Field(min_length=1)
    callback_url: str | None = None


def encode_task_message(task: Task, *, result_bucket: str) -> bytes:
    """Return the message body for a task, JSON in UTF-8."""
    body = _Body(
        version=WIRE_VERSION,
        task_id=task.id,
        user_id=task.user_id,
        submitted_at=task.created_at,
        payload=task.parameters,
        result_bucket=result_bucket,
        callback_url=task.callback_url,
    )
    return body.model_dump_json().encode()


def task_message_attributes(task: Task, *, pool: str | None = None) -> dict[str, str]:
    """Build the attributes for subscription filters. Without a `pool` the model is its own pool."""
    model = task.parameters.model
    return {"model": model, "pool": pool or model, "lane": task.lane.value, "task_id": task.id}


def decode_task_message(body: bytes) -> TaskMessage:
    """Parse a message body.

    Raises UndecodableError, or its subclass UnsupportedVersionError for a 2.x.
    """
    if len(body) > MAX_BODY_BYTES:
        raise UndecodableError(f"body has {len(body)} bytes, more than {MAX_BODY_BYTES}")
    raw = read_object(body, called="body")
    try:
        read = _Body.model_validate(raw)
    except ValidationError as exc:
        raise UndecodableError(first_complaint(exc)) from exc
    return TaskMessage(
        task_id=read.task_id,
        user_id=read.user_id,
        submitted_at=read.submitted_at,
        parameters=read.payload,
        result_bucket=read.result_bucket,
        callback_url=read.callback_url,
    )
