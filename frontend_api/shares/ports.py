"""The port of the stored shares."""

from typing import Protocol

from frontend_api.shares.share import Share


class ShareStore(Protocol):
    """Stores shares. Every method raises DependencyUnavailableError after a timeout."""

    def add(self, share: Share) -> None:
        """Store a new share."""

    def get(self, share_id: str) -> Share:
        """Return the share, even if it has expired. Raises ShareNotFoundError."""

    def list_for(self, task_id: str) -> tuple[Share, ...]:
        """Return all shares of one task, newest first, expired ones included."""

    def delete(self, share_id: str) -> None:
        """Delete a share. Idempotent."""

    def delete_all_of(self, task_id: str) -> None:
        """Delete all shares of a task. Idempotent."""
