"""Conversion of Python values to JSON types, including numbers of other libraries."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from darkroom.errors import ConfigurationError


def json_value(value: Any, at: str = "") -> Any:
    """Return the value in JSON types; `at` is its JSON pointer.

    NumPy numbers are accepted. NaN, infinities, bytes and lone surrogates are not valid in JSON:
    they raise ConfigurationError before anything is sent.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, at)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _number(value, at)
    if isinstance(value, Mapping):
        return {_text(name, at): json_value(inner, f"{at}/{name}") for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [json_value(inner, f"{at}/{index}") for index, inner in enumerate(value)]
    raise _unsendable(at, f"must be text, a number, a list or a mapping (got {type(value).__name__})")


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise _unsendable(at, f"has a field name that is not text (got {type(value).__name__})")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _unsendable(at, "must be valid Unicode (got half of a surrogate pair)") from error
    return str(value)


def _number(value: Real, at: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise _unsendable(at, f"must be a finite number (got {number})")
    return number


def _unsendable(at: str, detail: str) -> ConfigurationError:
    return ConfigurationError(f"{at or 'the body'}: {detail}")
