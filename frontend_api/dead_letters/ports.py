"""The port of the stored dead letters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontend_api.dead_letters.dead_letter import DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """One page of dead letters, newest first; `next_page_token` is None on the last page."""

    letters: tuple[DeadLetter, ...]
    next_page_token: str | None


class DeadLetterArchive(Protocol):
    """Stores dead letters. Every method raises DependencyUnavailableError after a timeout."""

    def add(self, letter: DeadLetter) -> bool:
        """Store a letter; return False and change nothing if one with its id exists."""

    def get(self, letter_id: str) -> DeadLetter:
        """Return the letter. Raises DeadLetterNotFoundError."""

    def list_page(self, *, page_size: int, page_token: str | None = None) -> DeadLetterPage:
        """Return a page of letters, newest first, without bodies. Raises InvalidPageTokenError."""

    def record_replay(self, letter_id: str, now: datetime) -> None:
        """Record that the letter's task was queued again. Raises DeadLetterNotFoundError."""

    def delete(self, letter_id: str) -> None:
        """Delete a letter. Raises DeadLetterNotFoundError."""

    def purge(self, *, died_before: datetime, limit: int) -> int:
        """Delete at most `limit` letters that died before `died_before`, oldest first.

        Returns how many were deleted.
        """
