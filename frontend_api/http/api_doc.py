"""The OpenAPI description of each route. `ApiDoc` holds what the routes of a blueprint share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from frontend_api.http.error_shape import PROBLEM_DOCUMENTS, ErrorShape
from frontend_api.identity.ports import Scope

ADMIN = frozenset((Scope.ADMIN,))
CHANGE_AND_READ = frozenset((Scope.READ, Scope.SUBMIT))
"""For changes whose response reveals a stored task: a key that only submits must not read with them."""
_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE = "operation"
_BAD_BODY = ("malformed_body", "unsupported_media_type", "parameters_rejected")
_OF_ANY_ROUTE = (
    *("bad_request", "body_too_large", "request_timeout", "server_busy"),
    "too_many_large_files",
)
"""Problems of a request that is not valid HTTP, is too large, did not arrive completely, or cannot be
accepted by the process, and of responses that are not read.
"""


@dataclass(frozen=True, slots=True)
class ResponseDoc:
    """One successful response of an operation.

    `body` is None for a response without a body; with another `media_type`, the body is bytes.
    """

    description: str
    body: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""
    stream: type[BaseModel] | None = None
    """The data of the server-sent events that the caller may request instead of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The description of a route."""

    id: str
    summary: str
    tag: str
    responses: Mapping[int, ResponseDoc]
    problems: tuple[str, ...]
    """Codes of the table in `problems.py`, besides those that every such operation can return."""
    body: type[BaseModel] | None
    body_required: bool
    raw_body: tuple[str, ...]
    """Media types of a body that is a file."""
    form: type[BaseModel] | None
    """The fields of a body of the type multipart/form-data; `bytes` are files."""
    query: type[BaseModel] | None
    headers: Mapping[str, str]
    """Request headers: name → description."""
    secured: bool
    errors: ErrorShape
    scopes: frozenset[Scope] | None
    """All scopes that an API key needs; None: read for GET, submit for any other method."""

    @property
    def is_internal(self) -> bool:
        """Whether only machines of the deployment may call it."""
        return self.tag == "internal"

    def scopes_for(self, verb: str) -> frozenset[Scope]:
        """Return the scopes that an API key needs for this method, in upper or lower case."""
        return self.scopes or frozenset((Scope.READ if verb.upper() in ("GET", "HEAD") else Scope.SUBMIT,))

    @property
    def all_problems(self) -> tuple[str, ...]:
        """The codes of all problems that the operation can return."""
        body = _BAD_BODY if self.body or self.raw_body or self.form else ()
        query = () if self.query is None else ("parameters_rejected",)
        caller = ("unauthenticated", "dependency_unavailable") if self.secured else ()
        is_for_people = self.secured and not self.is_internal
        person = ("forbidden", "user_not_allowed", "quota_exceeded") if is_for_people else ()
        each = (*body, *query, *caller, *person, *self.problems, *_OF_ANY_ROUTE, "internal_error")
        return tuple(dict.fromkeys(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDoc:
    """The defaults of a blueprint's operations. Call it to describe a view.

    The first paragraph of the view's docstring is the operation's summary.
    """

    tag: str
    scopes: frozenset[Scope] | None = None
    secured: bool = True
    problems: tuple[str, ...] = ()
    errors: ErrorShape = PROBLEM_DOCUMENTS

    def __call__(
        self,
        operation_id: str,
        responses: Mapping[int, ResponseDoc],
        *,
        problems: tuple[str, ...] = (),
        body: type[BaseModel] | None = None,
        body_required: bool = True,
        raw_body: tuple[str, ...] = (),
        form: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        headers: Mapping[str, str] | None = None,
        scopes: frozenset[Scope] | None = None,
    ) -> Callable[[_View], _View]:
        """Return a decorator that attaches the description to a view."""

        def describe(view: _View) -> _View:
            paragraph = (view.__doc__ or "").strip().partition("\n\n")[0]
            operation = Operation(
                id=operation_id,
                summary=" ".join(paragraph.split()).removesuffix("."),
                tag=self.tag,
                responses=responses,
                problems=(*self.problems, *problems),
                body=body,
                body_required=body_required,
                raw_body=raw_body,
                form=form,
                query=query,
                headers=headers or {},
                secured=self.secured,
                errors=self.errors,
                scopes=scopes or self.scopes,
            )
            setattr(view, _ATTRIBUTE, operation)
            return view

        return describe


def operation_of(view: Callable[..., Any]) -> Operation | None:
    return getattr(view, _ATTRIBUTE, None)
