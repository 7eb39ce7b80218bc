"""The form of error responses: problem documents, or another form below a path of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from frontend_api.http.problems import PROBLEMS, Problem
from frontend_api.http.schemas import ProblemDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """How the routes below a path report problems."""

    media_type: str
    schema: type[BaseModel]
    status: Callable[[str], int]
    """The status of a problem's code."""
    body: Callable[[Problem, str | None, str], Mapping[str, Any]]
    """The body for a problem, the trace id of the request, and the API's base path."""


PROBLEM_DOCUMENTS = ErrorShape(
    media_type="application/problem+json",
    schema=ProblemDocument,
    status=lambda code: PROBLEMS[code].status,
    body=lambda problem, trace_id, base_path: problem.body(trace_id=trace_id, base_path=base_path),
)


def shape_at(path: str, shapes: Mapping[str, ErrorShape]) -> ErrorShape:
    """Return the shape of a path; `shapes` maps prefixes of paths to shapes."""
    return next((shape for prefix, shape in shapes.items() if path.startswith(prefix)), PROBLEM_DOCUMENTS)
