"""Operation: what OpenAPI should say about a route, written beside its view and read by `openapi.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from frontend_api.api_key import Scope

_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE = "operation_described"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One successful answer of an operation; `body` is None where there is none, bytes where `media_type` says so."""

    meaning: str
    body: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name → meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route, described. `problems` are codes of the table in `problems.py`."""

    id: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    """Name → meaning."""
    secured: bool = True
    scope: Scope | None = None
    """What an API key must be allowed to; None: to read where the verb is GET, to submit where it is another."""

    def scope_for(self, verb: str) -> Scope:
        """What an API key must be allowed to, for this verb (in any case)."""
        return self.scope or (Scope.READ if verb.upper() in ("GET", "HEAD") else Scope.SUBMIT)


def described(operation: Operation) -> Callable[[_View], _View]:
    """Attach the description to a view."""

    def attach(view: _View) -> _View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return attach


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """The description that a view carries."""
    return getattr(view, _ATTRIBUTE, None)
