"""Operations on the queue, the caller's usage and API keys."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from darkroom.calls import Calls, date_of, path_of, read_as
from darkroom.models.account import ApiKey, ApiKeyList, CreatedApiKey, UsageReport
from darkroom.models.queue import QueueStatus
from darkroom.sansio import Operation


def queue(calls: Calls) -> Operation[QueueStatus]:
    return calls.fetch(QueueStatus, calls.request("GET", path_of("queue")))


def usage(calls: Calls, first: date | None, last: date | None) -> Operation[UsageReport]:
    """Return the usage of the caller's tasks. The API chooses the days that are not given."""
    query = {name: date_of(day) for name, day in (("from", first), ("to", last)) if day is not None}
    return calls.fetch(UsageReport, calls.request("GET", path_of("usage"), query=query))


def keys(calls: Calls) -> Operation[tuple[ApiKey, ...]]:
    return (yield from calls.fetch(ApiKeyList, calls.request("GET", path_of("keys")))).keys


def create_key(
    calls: Calls, name: str, scopes: Iterable[str], expires_in_days: int | None
) -> Operation[CreatedApiKey]:
    """Create an API key. It is not retried if the outcome is unknown: the key may be in the list."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
    request = calls.request("POST", path_of("keys"), body=body)
    return read_as(CreatedApiKey, (yield from calls.send(request, is_repeatable=False)))


def revoke_key(calls: Calls, key_id: str) -> Operation[None]:
    return calls.delete(path_of("keys", key_id))
