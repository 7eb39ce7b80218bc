"""The Pub/Sub message that carries a task to a worker. It is self-contained."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from common.domain.images import task_folder
from common.domain.parameters import GenerationParameters
from common.domain.task import Task
from common.wire_formats.decoding import first_complaint, read_object
from common.wire_formats.versions import WIRE_VERSION, UndecodableError

MAX_BODY_BYTES = 1_000_000
"""Far above the size of any accepted task; larger bodies are rejected without parsing."""


class TaskMessage(BaseModel):
    """The task as of its publication; the worker reads the current one from the store."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    task_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")
    user_id: str = Field(min_length=1, max_length=256)
    submitted_at: AwareDatetime
    parameters: GenerationParameters = Field(alias="payload")
    result_bucket: str = Field(min_length=1)
    callback_url: str | None = None

    @property
    def folder(self) -> str:
        """The prefix of all objects of the task."""
        return task_folder(self.task_id, self.submitted_at)


def encode_task_message(task: Task, *, result_bucket: str) -> bytes:
    """Return the message body for a task, JSON in UTF-8."""
    message = TaskMessage(
        version=WIRE_VERSION,
        task_id=task.id,
        user_id=task.user_id,
        submitted_at=task.created_at,
        payload=task.parameters,
        result_bucket=result_bucket,
        callback_url=task.callback_url,
    )
    return message.model_dump_json(by_alias=True).encode()


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
    try:
        return TaskMessage.model_validate(read_object(body, called="body"))
    except ValidationError as exc:
        raise UndecodableError(first_complaint(exc)) from exc
