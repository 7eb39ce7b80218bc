"""The fields of a submission, under the API's names, and their conversion to JSON."""

import math
import uuid
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from typing_extensions import Required, TypedDict

from darkroom.errors import ConfigurationError
from darkroom.pictures import PictureSource

_MAX_KEY_LENGTH = 255


class SubmissionFields(TypedDict, total=False):
    """All fields but the prompt.

    Omitted fields and None mean the model's default. The API checks the limits.
    """

    negative_prompt: str | None
    prompt_syntax: str | None
    model: str | None
    steps: int | None
    guidance_scale: float | None
    guidance_rescale: float | None
    clip_skip: int | None
    seed: int | None
    sampler: str | None
    eta: float | None
    width: int | None
    height: int | None
    num_images: int | None
    output_format: str | None
    image: PictureSource | None
    """A picture to start from: the id of an upload, or a picture, which is uploaded first."""
    mask_image: PictureSource | None
    strength: float | None
    control_image: PictureSource | None
    """A control image for the model's control network, such as edges or a depth map."""
    controlnet: str | None
    control_scale: float | None
    reference_image: PictureSource | None
    """A picture whose content and style the image follows, for a model with IP-Adapters."""
    ip_adapter: str | None
    reference_scale: float | None
    loras: Sequence[Mapping[str, Any]] | None
    """`{"name", "scale"}` each; the scale is optional."""
    output_quality: int | None
    metadata: str | None
    lane: str | None
    labels: Mapping[str, str] | None
    deadline_seconds: int | None
    callback_url: str | None
    callback_events: Sequence[str] | None
    callback_headers: Mapping[str, str] | None


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


def idempotency_key_or_new(key: Any) -> str:
    """Return the key, or a new one for None. Raises ConfigurationError."""
    if key is None:
        return str(uuid.uuid4())
    is_text = isinstance(key, str) and key.isascii() and key.isprintable()
    if not is_text or not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise ConfigurationError(
            f"the Idempotency-Key must be 1 to {_MAX_KEY_LENGTH} printable ASCII characters"
        )
    return str(key)


def json_value(value: Any, pointer: str = "") -> Any:
    """Convert a value to JSON types. `pointer` is its JSON pointer.

    NumPy numbers are accepted. NaN, infinities, bytes and lone surrogates are not valid in JSON:
    they raise ConfigurationError before anything is sent.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, pointer)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return finite(value, pointer)
    if isinstance(value, Mapping):
        return {_text(name, pointer): json_value(inner, f"{pointer}/{name}") for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [json_value(inner, f"{pointer}/{index}") for index, inner in enumerate(value)]
    raise _invalid(pointer, f"must be text, a number, a list or a mapping (got {type(value).__name__})")


def finite(value: Any, pointer: str) -> float:
    """Return a number as a float. Raises ConfigurationError unless it is finite."""
    if not isinstance(value, Real):
        raise _invalid(pointer, f"must be a number (got {type(value).__name__})")
    number = float(value)
    if not math.isfinite(number):
        raise _invalid(pointer, f"must be a finite number (got {number})")
    return number


def valid_unicode(text: str, pointer: str = "") -> str:
    """Return the text. Raises ConfigurationError if it contains a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(pointer, "must be valid Unicode (got half of a surrogate pair)") from error
    return str(text)


def _text(value: Any, pointer: str) -> str:
    if not isinstance(value, str):
        raise _invalid(pointer, f"has a field name that is not text (got {type(value).__name__})")
    return valid_unicode(value, pointer)


def _invalid(pointer: str, detail: str) -> ConfigurationError:
    return ConfigurationError(f"{pointer or 'a value'}: {detail}")
