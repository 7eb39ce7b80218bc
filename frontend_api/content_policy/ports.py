"""The port that decides which prompts the service refuses."""

from typing import Protocol

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.parameters import GenerationParameters


class ContentPolicyError(ParametersRejectedError):
    """The content policy refuses a text of the request."""

    code = "content_policy_violation"

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__("the content policy refuses the request", problems)


class ContentPolicy(Protocol):
    """Decides on submissions and retries. Safe to share between threads."""

    def check(self, parameters: GenerationParameters) -> None:
        """Return if these parameters are allowed. Raises ContentPolicyError."""
