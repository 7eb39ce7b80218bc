"""What can go wrong between a person and the API, told so that they know what to do next.

ClientError
├── UnreachableError      nobody answers
├── ProblemError          the API refuses, and says why (RFC 9457)
└── UnexpectedAnswerError whoever answers is not darkroom, or not well
"""

from collections.abc import Mapping
from typing import Any

from client.plain_text import printable


class ClientError(Exception):
    """The message is for a person, several lines at most."""


class UnreachableError(ClientError):
    """Nobody answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url} does not answer: {reason}\n"
            "  Is darkroom running there? Another address: --url, or DARKROOM_URL in the environment."
        )


class ProblemError(ClientError):
    """The API's refusal."""

    def __init__(self, problem: Mapping[str, Any], *, retry_after: str | None) -> None:
        lines = [f"{problem.get('title', 'Refused')} ({problem.get('code', 'no code')})"]
        lines.append(f"  {problem.get('detail', '')}")
        for complaint in problem.get("errors", ()):
            place = next(
                (complaint[key] for key in ("pointer", "parameter", "header") if key in complaint), ""
            )
            lines.append(f"  {place or 'the body'}: {complaint.get('detail', '')}")
        if retry_after is not None:
            lines.append(f"  Try again in {retry_after} s.")
        if problem.get("trace_id"):
            lines.append(f"  In the logs: trace {problem['trace_id']}")
        super().__init__(printable("\n".join(lines)))


class UnexpectedAnswerError(ClientError):
    """An answer that darkroom does not give."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answers {status}, but not as darkroom does\n  Is the address right?")
