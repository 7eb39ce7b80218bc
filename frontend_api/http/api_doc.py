"""Operation: the OpenAPI description of a route. It is defined beside the view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from frontend_api.identity.ports import Scope

_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE = "operation_described"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One successful response of an operation.

    `body` is None for a response without a body; with another `media_type`, the body is bytes.
    """

    meaning: str
    body: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The description of a route. `problems` are codes of the table in `problems.py`."""

    id: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""
    secured: bool = True
    scope: Scope | None = None
    """The scope that an API key needs; None: read for GET, submit for any other method."""

    def scope_for(self, verb: str) -> Scope:
        """Return the scope that an API key needs for this method, in upper or lower case."""
        return self.scope or (Scope.READ if verb.upper() in ("GET", "HEAD") else Scope.SUBMIT)


def described(operation: Operation) -> Callable[[_View], _View]:
    """Attach the description to a view."""

    def attach(view: _View) -> _View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return attach


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the description attached to a view."""
    return getattr(view, _ATTRIBUTE, None)
