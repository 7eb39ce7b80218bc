"""Revoke an API key of a caller's. Other people's keys do not exist."""

from dataclasses import dataclass

from frontend_api.api_key import ApiKeyNotFoundError
from frontend_api.ports import ApiKeyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey:
    """The use case."""

    keys: ApiKeyStore

    def __call__(self, user_id: str, key_id: str) -> None:
        """Forget the key. Raises ApiKeyNotFoundError, for somebody else's exactly as for one that never was."""
        if self.keys.get(key_id).user_id != user_id:
            raise ApiKeyNotFoundError(key_id)
        self.keys.delete(key_id)
