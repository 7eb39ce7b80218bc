"""API keys and usage of a caller."""

from datetime import date

from pydantic import AwareDatetime, Field

from darkroom.models.record import Record


class ApiKey(Record):
    """An API key without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class CreatedApiKey(ApiKey):
    """A new API key with its secret, which the API returns only once."""

    key: str = Field(repr=False)


class ApiKeyList(Record):
    """All API keys of the caller, newest first."""

    keys: tuple[ApiKey, ...]


class Usage(Record):
    """Usage of tasks; `price` is None if no prices are configured."""

    tasks: int
    gpu_seconds: float
    wasted_gpu_seconds: float
    price: float | None = None


class DailyUsage(Usage):
    """Usage of the tasks that finished on one day."""

    day: date


class Quota(Record):
    """A limit of the caller, and how much of it is used."""

    name: str
    limit: int
    used: float
    """GPU seconds, tasks or requests; GPU seconds include the prediction for active tasks."""
    remaining: int
    resets_in_seconds: int | None = None
    """None for limits of active tasks."""


class UsageReport(Record):
    """Usage of the caller's tasks, total and per day in ascending order."""

    currency: str | None = None
    total: Usage
    days: tuple[DailyUsage, ...] = ()
    quotas: tuple[Quota, ...] = ()
