"""The package as one record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAICompatibility:
    origin: str | None
    """Origin of the links to images that the API serves itself; None: that of the request."""
    silent_seconds: float
    """How long a response is held back without a byte, so that its status reports the outcome."""
    wait_seconds: float
    """How long a request waits for its images."""
