"""Calls for dead letters, for operators."""

from datetime import datetime

from darkroom.calls import Calls, path_of
from darkroom.models.dead_letter import DeadLetter, DeadLetterPage, Purged
from darkroom.models.task import Task
from darkroom.problem_errors import DeadLetterNotFoundError
from darkroom.sansio import Flow, Tell, TellingFlow

_PAGE_SIZE = "100"


def list_all(calls: Calls) -> TellingFlow[DeadLetter]:
    """Yield all dead letters, newest first. Pages are fetched lazily."""
    query = {"page_size": _PAGE_SIZE}
    while True:
        request = calls.request("GET", path_of("dead-letters"), query=query)
        page = yield from calls.record(DeadLetterPage, request)
        for letter in page.dead_letters:
            yield Tell(letter)
        if page.next_page_token is None:
            return
        query["page_token"] = page.next_page_token


def get(calls: Calls, letter_id: str) -> Flow[DeadLetter]:
    """Return one dead letter with its body."""
    return calls.record(DeadLetter, calls.request("GET", path_of("dead-letters", letter_id)))


def replay(calls: Calls, letter_id: str) -> Flow[Task]:
    """Queue the task of a dead letter again and return it. Duplicate messages do no harm."""
    return calls.record(Task, calls.request("POST", path_of("dead-letters", letter_id, "replay")))


def delete(calls: Calls, letter_id: str) -> Flow[None]:
    """Delete a dead letter."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("dead-letters", letter_id)))
    except DeadLetterNotFoundError as refused:
        if refused.attempts == 1:  # after a retry, an earlier attempt may have deleted it
            raise


def purge(calls: Calls, older_than: datetime) -> Flow[int]:
    """Delete all dead letters older than a point in time; return their number.

    It sends as many calls as needed.
    """
    deleted, more = 0, True
    while more:
        query = {"older_than": older_than.isoformat()}
        purged = yield from calls.record(
            Purged, calls.request("DELETE", path_of("dead-letters"), query=query)
        )
        deleted, more = deleted + purged.deleted, purged.more
    return deleted
