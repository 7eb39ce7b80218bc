"""Calls for the queue and the caller's account: usage and API keys."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from darkroom.calls import Calls, path_of, read_as
from darkroom.models.api_key import ApiKey, ApiKeyList, CreatedApiKey
from darkroom.models.queue_standing import QueueStanding
from darkroom.models.usage import UsageReport
from darkroom.problem_errors import NotFoundError
from darkroom.sansio import Flow


def queue(calls: Calls) -> Flow[QueueStanding]:
    """Return the state of the queue, over the tasks of all callers."""
    return calls.record(QueueStanding, calls.request("GET", path_of("queue")))


def usage(calls: Calls, first: date | None, last: date | None) -> Flow[UsageReport]:
    """Return the usage of the caller's tasks. The API chooses the days that are not given."""
    query = {name: day.isoformat() for name, day in (("from", first), ("to", last)) if day is not None}
    return calls.record(UsageReport, calls.request("GET", path_of("usage"), query=query))


def keys(calls: Calls) -> Flow[tuple[ApiKey, ...]]:
    """Return all API keys of the caller, newest first."""
    return (yield from calls.record(ApiKeyList, calls.request("GET", path_of("keys")))).keys


def create_key(
    calls: Calls, name: str, scopes: Iterable[str], expires_in_days: int | None
) -> Flow[CreatedApiKey]:
    """Create an API key. It is not retried if the outcome is unknown: the key may be in the list."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
    request = calls.request("POST", path_of("keys"), body=body)
    return read_as(CreatedApiKey, (yield from calls.answered(request, is_repeatable=False)))


def revoke_key(calls: Calls, key_id: str) -> Flow[None]:
    """Revoke an API key permanently."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("keys", key_id)))
    except NotFoundError as refused:
        if refused.attempts == 1:  # after a retry, an earlier attempt may have deleted it
            raise
