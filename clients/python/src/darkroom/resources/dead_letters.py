"""Operations on dead letters, for operators."""

from datetime import datetime

from darkroom.calls import Calls, path_of, timestamp_of
from darkroom.models.dead_letter import DeadLetter, DeadLetterPage, PurgeResult
from darkroom.models.task import Task
from darkroom.sansio import Operation, StreamingOperation


def list_all(calls: Calls) -> StreamingOperation[DeadLetter]:
    return calls.fetch_all(DeadLetterPage, path_of("dead-letters"), {"page_size": "100"})


def get(calls: Calls, letter_id: str) -> Operation[DeadLetter]:
    return calls.fetch(DeadLetter, calls.request("GET", path_of("dead-letters", letter_id)))


def replay(calls: Calls, letter_id: str) -> Operation[Task]:
    """Queue the task of a dead letter again and return it. Duplicate messages do no harm."""
    return calls.fetch(Task, calls.request("POST", path_of("dead-letters", letter_id, "replay")))


def delete(calls: Calls, letter_id: str) -> Operation[None]:
    return calls.delete(path_of("dead-letters", letter_id))


def purge(calls: Calls, older_than: datetime) -> Operation[int]:
    request = calls.request("DELETE", path_of("dead-letters"), query={"older_than": timestamp_of(older_than)})
    deleted, more = 0, True
    while more:
        result = yield from calls.fetch(PurgeResult, request)
        deleted, more = deleted + result.deleted, result.more and result.deleted > 0
    return deleted
