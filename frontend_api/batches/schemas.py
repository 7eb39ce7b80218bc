"""Request schemas: many submissions in one request, and changes of many tasks."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, SkipValidation, ValidationError, model_validator

from frontend_api.batches.change_tasks import MAX_CHANGED_TASKS
from frontend_api.http.schemas import STORABLE, RequestBody
from frontend_api.tasks.request_fields import IdempotencyKey, LabelChanges
from frontend_api.tasks.schemas import BodyWithFewFields, PageToken, TaskConditions, TaskSubmission

MAX_BATCH_ITEMS = 100
MAX_BATCH_VALUES = 10_000
"""Enough for a hundred submissions with every field, label, header and LoRA."""


class BatchItem(TaskSubmission):
    """One request for images in a batch."""

    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        description="Like the Idempotency-Key header: requests with the same key and fields create one task.",
    )


class TaskBatch(BodyWithFewFields):
    """Several requests for images. Each is checked, and accepted or rejected, separately."""

    tasks: Annotated[list[SkipValidation[BatchItem]], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]

    def checked(self) -> Iterator[BatchItem | ValidationError]:
        """Yield each item, or its validation error."""
        for item in self.tasks:
            try:
                yield BatchItem.model_validate(item)
            except ValidationError as refusal:
                yield refusal


def _without_repetition(task_ids: list[str]) -> list[str]:
    if len(set(task_ids)) < len(task_ids):
        raise ValueError("must contain each id once")
    return task_ids


TaskId = Annotated[str, Field(max_length=100), STORABLE]
"""A malformed id is that of no task, as in the path of a call for one task."""


class TaskFilterBody(TaskConditions):
    """Selects the tasks that meet all given conditions, as in the query of `GET /v1/tasks`."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _require_a_condition(self) -> Self:
        """Require one: a client that loses its filter must not select all tasks."""
        if all(value is None for value in dict(self).values()):
            raise ValueError(
                "must have a condition; `created_before` with the current time selects all tasks"
            )
        return self


class TaskSelection(RequestBody):
    """The tasks to change: either `task_ids` or `filter`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["task_ids"], "properties": {"task_ids": {"type": "array"}}},
                {"required": ["filter"], "properties": {"filter": {"type": "object"}}},
            ]
        }
    )

    task_ids: (
        Annotated[
            list[TaskId],
            Field(min_length=1, max_length=MAX_CHANGED_TASKS, json_schema_extra={"uniqueItems": True}),
            AfterValidator(_without_repetition),
        ]
        | None
    ) = Field(default=None, description="The ids of the tasks, each once.")
    filter: TaskFilterBody | None = Field(
        default=None,
        description=f"Conditions of the tasks. A request changes at most {MAX_CHANGED_TASKS}, the newest first.",
    )
    page_token: PageToken | None = Field(
        default=None, description="With `filter`: `next_page_token` of the previous response."
    )

    @model_validator(mode="after")
    def _require_either(self) -> Self:
        if (self.task_ids is None) == (self.filter is None):
            raise ValueError("must have exactly one of `task_ids` and `filter`")
        if self.filter is None and self.page_token is not None:
            raise ValueError("must have `page_token` only with `filter`")
        return self


class LabelsOfTasks(TaskSelection):
    """Labels to set and to remove, and the tasks to change."""

    labels: LabelChanges = Field(description="New values by name; `null` removes a label. Others are kept.")
