"""The port of the stored API keys."""

from datetime import datetime
from typing import Protocol

from frontend_api.api_keys.api_key import ApiKey


class ApiKeyStore(Protocol):
    """Stores API keys. Every method raises DependencyUnavailableError after a timeout."""

    def add(self, key: ApiKey) -> None:
        """Store a new key."""

    def get(self, key_id: str) -> ApiKey:
        """Return the key. Raises ApiKeyNotFoundError."""

    def list_for(self, user_id: str) -> tuple[ApiKey, ...]:
        """Return all keys of one user, newest first."""

    def record_use(self, key: ApiKey, now: datetime) -> None:
        """Record a use of the key. Raises ApiKeyNotFoundError if it was deleted meanwhile."""

    def delete(self, key_id: str) -> None:
        """Delete a key. Idempotent."""
