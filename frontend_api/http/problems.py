"""Problems (RFC 9457): the table of all error codes. `error_mapping.py` maps errors to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_MAX_COMPLAINTS = 20


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """The properties that all problems of one code share."""

    status: int
    title: str
    retryable: bool = False


PROBLEMS: Mapping[str, ProblemKind] = {
    "moved": ProblemKind(308, "Moved"),
    "malformed_body": ProblemKind(400, "Malformed body"),
    "bad_request": ProblemKind(400, "Bad request"),
    "untrusted_host": ProblemKind(400, "Untrusted host"),
    "unauthenticated": ProblemKind(401, "Not authenticated"),
    "forbidden": ProblemKind(403, "Forbidden"),
    "user_not_allowed": ProblemKind(403, "User not allowed"),
    "foreign_origin": ProblemKind(403, "Foreign origin"),
    "not_found": ProblemKind(404, "Not found"),
    "task_not_found": ProblemKind(404, "Task not found"),
    "dead_letter_not_found": ProblemKind(404, "Dead letter not found"),
    "image_not_found": ProblemKind(404, "Image not found"),
    "upload_not_found": ProblemKind(404, "Upload not found"),
    "input_not_found": ProblemKind(404, "Input not found"),
    "model_not_found": ProblemKind(404, "Model not found"),
    "webhook_delivery_not_found": ProblemKind(404, "Webhook delivery not found"),
    "share_not_found": ProblemKind(404, "Share not found"),
    "edits_not_offered": ProblemKind(404, "Image edits are not available"),
    "sharing_not_offered": ProblemKind(404, "Sharing is not available"),
    "webhooks_not_offered": ProblemKind(404, "Webhooks are not available"),
    "api_key_not_found": ProblemKind(404, "API key not found"),
    "method_not_allowed": ProblemKind(405, "Method not allowed"),
    "request_timeout": ProblemKind(408, "Request timeout", retryable=True),
    "invalid_transition": ProblemKind(409, "Invalid transition"),
    "input_in_use": ProblemKind(409, "Input in use"),
    "too_many_inputs": ProblemKind(409, "Too many inputs"),
    "too_many_api_keys": ProblemKind(409, "Too many API keys"),
    "too_many_shares": ProblemKind(409, "Too many shares"),
    "rescue_running": ProblemKind(409, "Another rescue run is in progress", retryable=True),
    "dead_letter_undecodable": ProblemKind(409, "The dead letter cannot be decoded"),
    "webhook_outdated": ProblemKind(409, "The event is outdated"),
    "body_too_large": ProblemKind(413, "Body too large"),
    "unsupported_media_type": ProblemKind(415, "Unsupported media type"),
    "picture_type_not_supported": ProblemKind(415, "Type of picture not supported"),
    "range_not_satisfiable": ProblemKind(416, "Range not satisfiable"),
    "parameters_rejected": ProblemKind(422, "Parameters rejected"),
    "picture_animated": ProblemKind(422, "Animated picture"),
    "picture_damaged": ProblemKind(422, "Damaged picture"),
    "picture_too_large": ProblemKind(422, "Picture too large"),
    "unknown_model": ProblemKind(422, "Unknown model"),
    "content_policy_violation": ProblemKind(422, "Content policy violation"),
    "idempotency_key_reused": ProblemKind(422, "Idempotency-Key reused"),
    "upgrade_required": ProblemKind(426, "Upgrade required"),
    "quota_exceeded": ProblemKind(429, "Quota exceeded", retryable=True),
    "queue_full": ProblemKind(429, "Queue full", retryable=True),
    "too_many_large_files": ProblemKind(429, "Too many large files at once", retryable=True),
    "too_many_waiting": ProblemKind(429, "Too many waiting callers", retryable=True),
    "internal_error": ProblemKind(500, "Internal error", retryable=True),
    "server_busy": ProblemKind(503, "Server busy", retryable=True),
    "dependency_unavailable": ProblemKind(503, "Dependency unavailable", retryable=True),
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One rejected part of the request: its location, and what is accepted.

    `at` is a JSON pointer into the body (empty for the whole body), or the name of a query
    parameter or header.
    """

    place: Literal["pointer", "parameter", "header"]
    at: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A rejection or failure that can be returned to the caller."""

    code: str
    detail: str
    complaints: tuple[Complaint, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    task_id: str | None = None

    @property
    def kind(self) -> ProblemKind:
        return PROBLEMS[self.code]

    def body(self, *, trace_id: str | None, base_path: str = "") -> dict[str, Any]:
        """Return the members of the `application/problem+json` document.

        `base_path` precedes the API's own paths.
        """
        members: dict[str, Any] = {
            "type": f"{base_path}{problem_path(self.code)}",
            "title": self.kind.title,
            "status": self.kind.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [{c.place: c.at, "detail": c.detail} for c in self.complaints[:_MAX_COMPLAINTS]],
            "retryable": self.kind.retryable,
            "trace_id": trace_id,
        }
        return members if self.task_id is None else {**members, "task_id": self.task_id}


class RequestRefusedError(Exception):
    """The request is rejected before a use case runs; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_path(code: str) -> str:
    """Return the path of the problem's documentation, which is its type."""
    return f"/problems/{code.replace('_', '-')}"


def rejected(complaints: Iterable[Complaint]) -> Problem:
    found = tuple(complaints)
    count = "1 field is" if len(found) == 1 else f"{len(found)} fields are"
    more = f"; `errors` lists the first {_MAX_COMPLAINTS}" if len(found) > _MAX_COMPLAINTS else ""
    return Problem(code="parameters_rejected", detail=f"{count} invalid{more}", complaints=found)
