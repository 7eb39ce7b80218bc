"""The fields of a submission, under the API's names."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import Required, TypedDict

from darkroom.errors import ConfigurationError
from darkroom.json_values import json_value

_LONGEST_KEY = 255


class SubmissionFields(TypedDict, total=False):
    """All fields but the prompt.

    Omitted fields and None mean the model's default. The API checks the limits.
    """

    negative_prompt: str | None
    model: str | None
    steps: int | None
    guidance_scale: float | None
    seed: int | None
    sampler: str | None
    width: int | None
    height: int | None
    num_images: int | None
    output_format: str | None
    lane: str | None
    labels: Mapping[str, str] | None
    deadline_seconds: int | None
    callback_url: str | None
    callback_events: Sequence[str] | None


class Submission(SubmissionFields, total=False):
    """One submission of many: all fields and an optional idempotency key.

    Submitting it again with the same key creates no second task.
    """

    prompt: Required[str]
    idempotency_key: str | None


def submission_body(prompt: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Build the JSON body. Raises ConfigurationError for values that JSON cannot represent."""
    given = {"prompt": prompt, **{name: value for name, value in fields.items() if value is not None}}
    return {name: json_value(value, f"/{name}") for name, value in given.items()}


def checked_idempotency_key(key: Any) -> str:
    """Return the key if it is valid in a header. Raises ConfigurationError."""
    if (
        not isinstance(key, str)
        or not 0 < len(key) <= _LONGEST_KEY
        or not key.isascii()
        or not key.isprintable()
    ):
        raise ConfigurationError(f"an Idempotency-Key is 1 to {_LONGEST_KEY} printable ASCII characters")
    return key


def new_idempotency_key() -> str:
    """Generate a unique key."""
    return str(uuid.uuid4())
