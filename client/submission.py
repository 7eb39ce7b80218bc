"""What a caller may ask for: the fields of a submission, by the API's own names."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

from client.errors import ConfigurationError
from client.json_values import json_value

_LONGEST_KEY = 255


class SubmissionFields(TypedDict, total=False):
    """All but the prompt; what is left out or None is as the model has it. The API checks the limits."""

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
    """One of many: all that may be asked for, and the key that makes it one task however often it is sent."""

    prompt: Required[str]
    idempotency_key: str | None


def submission_body(prompt: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of a submission. Raises ConfigurationError for what JSON cannot say."""
    given = {"prompt": prompt, **{name: value for name, value in fields.items() if value is not None}}
    return {name: json_value(value, f"/{name}") for name, value in given.items()}


def checked_idempotency_key(key: Any) -> str:
    """A key that a header can hold. Raises ConfigurationError."""
    if (
        not isinstance(key, str)
        or not 0 < len(key) <= _LONGEST_KEY
        or not key.isascii()
        or not key.isprintable()
    ):
        raise ConfigurationError(f"an Idempotency-Key is 1 to {_LONGEST_KEY} printable ASCII characters")
    return key


def new_idempotency_key() -> str:
    """A key that nobody used before."""
    return str(uuid.uuid4())
