"""Response schemas: the result of each submission, and of each change of a task."""

from enum import StrEnum

from pydantic import Field

from frontend_api.http.schemas import ProblemDocument, ResponseBody
from frontend_api.tasks.responses import TaskResponse


class BatchOutcome(StrEnum):
    """The outcome of one submission."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """A dependency did not confirm in time: the task may be stored."""


class BatchResultResponse(ResponseBody):
    """The result of one submission: a task, or a problem with pointers relative to that submission."""

    index: int = Field(description="The submission's position in `tasks`, from 0.")
    outcome: BatchOutcome = Field(
        description="`refused`: no task was created. `unknown`: a task may have been created; "
        "sending the item again with the same `idempotency_key` creates no second one."
    )
    task_id: str | None = Field(
        description="The task's id, also if the outcome is unknown; null if it was refused."
    )
    status: int = Field(
        description="The status of a single submission: 202 accepted, 200 replayed, or the problem's status."
    )
    task: TaskResponse | None
    problem: ProblemDocument | None
    retry_after_seconds: int | None = Field(
        description="Seconds to wait before a retry of a retryable problem."
    )


class BatchResponse(ResponseBody):
    """The result of each submission, in the order of the request."""

    accepted: int
    replayed: int
    refused: int
    unknown: int
    results: tuple[BatchResultResponse, ...]


class ChangedTaskResponse(ResponseBody):
    """The result of the change of one task."""

    task_id: str
    is_done: bool = Field(
        description="Whether the change was made, or requested from a worker. If not, `problem` has the reason."
    )
    status: int = Field(description="The status that the call for this task alone would return.")
    task: TaskResponse | None = Field(description="The changed task; null after a deletion.")
    problem: ProblemDocument | None
    retry_after_seconds: int | None = Field(
        description="Seconds to wait before a retry of a retryable problem."
    )


class ChangedTasksResponse(ResponseBody):
    """The result for each task: in the order of `task_ids`, or newest first for a `filter`."""

    done: int
    failed: int
    results: tuple[ChangedTaskResponse, ...]
    next_page_token: str | None = Field(
        description="Send it as `page_token`, with the same `filter`, to change the next tasks; null after the last."
    )
