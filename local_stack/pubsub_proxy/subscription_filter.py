"""Pub/Sub's filter language for subscriptions, which the emulator stores and ignores.

    condition = ["NOT" | "-"] ( "(" expression ")" | comparison )
    comparison = attributes:KEY | attributes.KEY = "VALUE" | attributes.KEY != "VALUE"
               | hasPrefix(attributes.KEY, "PREFIX")
    expression = condition { "AND" condition } | condition { "OR" condition }

As in the real service, operators are upper case, AND and OR may only be mixed with parentheses, and
a filter has at most 256 bytes. Escapes in strings: \\" and \\\\.
"""

import re
from collections.abc import Callable, Mapping

Filter = Callable[[Mapping[str, str]], bool]
"""Returns whether a message with these attributes is delivered."""

_MAX_BYTES = 256
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z0-9_][A-Za-z0-9_-]*)|(!=|[=:.,()-]))')


class InvalidFilterError(ValueError):
    """The expression is not a valid filter."""


def parse_filter(expression: str) -> Filter:
    """Compile the expression; an empty one matches every message. Raises InvalidFilterError."""
    if not expression.strip():
        return lambda _attributes: True
    if len(expression.encode()) > _MAX_BYTES:
        raise InvalidFilterError(f"a filter has at most {_MAX_BYTES} bytes")
    parser = _Parser(_tokens(expression))
    compiled = parser.expression()
    parser.expect_end()
    return compiled


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    while position < len(expression.rstrip()):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise InvalidFilterError(
                f"unexpected character at position {position}: {expression[position:][:20]!r}"
            )
        tokens.append(found.group().strip())
        position = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def expression(self) -> Filter:
        conditions = [self._condition()]
        operator = self._peek()
        if operator in ("AND", "OR"):
            while self._accept(operator):
                conditions.append(self._condition())
            if self._peek() in ("AND", "OR"):
                raise InvalidFilterError("AND and OR may be mixed with parentheses only")
        if len(conditions) == 1:
            return conditions[0]
        combine = all if operator == "AND" else any
        return lambda attributes: combine(condition(attributes) for condition in conditions)

    def expect_end(self) -> None:
        if (rest := self._peek()) is not None:
            raise InvalidFilterError(f"unexpected {rest!r} after the end of the expression")

    def _condition(self) -> Filter:
        if self._accept("NOT") or self._accept("-"):
            negated = self._condition()
            return lambda attributes: not negated(attributes)
        if self._accept("("):
            inner = self.expression()
            self._expect(")")
            return inner
        if self._accept("hasPrefix"):
            return self._has_prefix()
        return self._comparison()

    def _has_prefix(self) -> Filter:
        self._expect("(")
        self._expect("attributes")
        self._expect(".")
        key = self._key()
        self._expect(",")
        prefix = self._string()
        self._expect(")")
        return lambda attributes: key in attributes and attributes[key].startswith(prefix)

    def _comparison(self) -> Filter:
        self._expect("attributes")
        if self._accept(":"):
            key = self._key()
            return lambda attributes: key in attributes
        self._expect(".")
        key = self._key()
        if self._accept("="):
            wanted = self._string()
            return lambda attributes: attributes.get(key) == wanted
        self._expect("!=")
        unwanted = self._string()
        return lambda attributes: attributes.get(key) != unwanted

    def _key(self) -> str:
        token = self._next()
        if token.startswith('"'):
            return _unquoted(token)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
            raise InvalidFilterError(f"expected an attribute's key, found {token!r}")
        return token

    def _string(self) -> str:
        token = self._next()
        if not token.startswith('"'):
            raise InvalidFilterError(f"expected a string in double quotes, found {token!r}")
        return _unquoted(token)

    def _peek(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise InvalidFilterError("the expression ends too early")
        self._position += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._position += 1
        return True

    def _expect(self, token: str) -> None:
        if (found := self._next()) != token:
            raise InvalidFilterError(f"expected {token!r}, found {found!r}")


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])
