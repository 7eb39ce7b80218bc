"""API keys, as the API returns them to their owner."""

from datetime import datetime

from pydantic import Field

from darkroom.models.record import Record


class ApiKey(Record):
    """An API key without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedApiKey(ApiKey):
    """A new API key with its secret, which the API returns only once."""

    key: str = Field(repr=False)


class ApiKeyList(Record):
    """All API keys of the caller, newest first."""

    keys: tuple[ApiKey, ...]
