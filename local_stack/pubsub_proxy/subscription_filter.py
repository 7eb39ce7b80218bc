"""The part of Pub/Sub's filter language that darkroom uses. The emulator stores filters but ignores
them.

    filter = any | "NOT" "(" any ")"
    any = comparison { "OR" comparison }
    comparison = attributes.KEY = "VALUE"

As in the real service, a filter has at most 256 bytes.
"""

import re
from collections.abc import Callable, Mapping

Filter = Callable[[Mapping[str, str]], bool]
"""Returns whether a message with these attributes is delivered."""

_MAX_BYTES = 256
_NEGATION = re.compile(r"NOT\s*\((.*)\)")
_OR = re.compile(r"\s+OR\s+")
_COMPARISON = re.compile(r'\s*attributes\.([A-Za-z0-9_-]+)\s*=\s*"([^"\\]*)"\s*')


class InvalidFilterError(ValueError):
    """The expression is not a supported filter."""


def parse_filter(expression: str) -> Filter:
    """Compile the expression; an empty one matches every message. Raises InvalidFilterError."""
    if not expression.strip():
        return lambda _attributes: True
    if len(expression.encode()) > _MAX_BYTES:
        raise InvalidFilterError(f"a filter has at most {_MAX_BYTES} bytes")
    negation = _NEGATION.fullmatch(expression.strip())
    pairs = [_parse_comparison(part) for part in _OR.split(negation[1] if negation else expression)]
    return lambda attributes: any(attributes.get(key) == value for key, value in pairs) is not bool(negation)


def _parse_comparison(text: str) -> tuple[str, str]:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise InvalidFilterError(f'expected attributes.KEY = "VALUE", found {text!r}')
    return found[1], found[2]
