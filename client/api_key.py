"""ApiKey: what its owner is told of an API key."""

from datetime import datetime

from pydantic import Field

from client.record import Record


class ApiKey(Record):
    """An API key, without what opens doors."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedApiKey(ApiKey):
    """A new API key, with the key itself: it is told this once and never again."""

    key: str = Field(repr=False)


class ApiKeyList(Record):
    """All of the caller's keys, newest first."""

    keys: tuple[ApiKey, ...]
