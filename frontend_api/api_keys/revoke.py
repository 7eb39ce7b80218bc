"""Revoke one of a caller's API keys. Keys of other users are reported as not found."""

from dataclasses import dataclass

from frontend_api.api_keys.api_key import ApiKeyNotFoundError
from frontend_api.api_keys.ports import ApiKeyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey:
    keys: ApiKeyStore

    def __call__(self, user_id: str, key_id: str) -> None:
        """Delete the key. Raises ApiKeyNotFoundError, also for another user's key."""
        if self.keys.get(key_id).user_id != user_id:
            raise ApiKeyNotFoundError(key_id)
        self.keys.delete(key_id)
