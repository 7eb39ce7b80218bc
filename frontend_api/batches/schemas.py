"""Request schemas: many submissions in one request, each validated separately."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, SkipValidation, ValidationError

from frontend_api.tasks.request_fields import IdempotencyKey
from frontend_api.tasks.schemas import BodyWithFewFields, TaskSubmission

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
