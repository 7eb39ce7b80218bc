"""What may be asked of the queue and of the caller's own account: usage and API keys."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from client.api_key import ApiKey, ApiKeyList, CreatedApiKey
from client.calls import Calls, path_of, read_as
from client.flow import Flow
from client.problem_errors import NotFoundError
from client.queue_standing import QueueStanding
from client.usage import UsageReport


def queue(calls: Calls) -> Flow[QueueStanding]:
    """How the queue stands, everybody's tasks in one."""
    return calls.record(QueueStanding, calls.request("GET", path_of("queue")))


def usage(calls: Calls, first: date | None, last: date | None) -> Flow[UsageReport]:
    """What the caller's tasks have cost; the API chooses the days that are not named."""
    query = {name: day.isoformat() for name, day in (("from", first), ("to", last)) if day is not None}
    return calls.record(UsageReport, calls.request("GET", path_of("usage"), query=query))


def keys(calls: Calls) -> Flow[tuple[ApiKey, ...]]:
    """All of the caller's API keys, newest first."""
    return (yield from calls.record(ApiKeyList, calls.request("GET", path_of("keys")))).keys


def create_key(
    calls: Calls, name: str, scopes: Iterable[str], expires_in_days: int | None
) -> Flow[CreatedApiKey]:
    """A new API key. Where nobody knows whether it was made, it is not asked for again: it may lie in the list."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
    request = calls.request("POST", path_of("keys"), body=body)
    return read_as(CreatedApiKey, (yield from calls.answered(request, is_repeatable=False)))


def revoke_key(calls: Calls, key_id: str) -> Flow[None]:
    """Revoke for good."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("keys", key_id)))
    except NotFoundError as refused:
        if refused.attempts == 1:  # else an earlier try did it
            raise
