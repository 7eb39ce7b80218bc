"""What an operator may do with dead letters, one flow each."""

from datetime import datetime

from client.calls import Calls, path_of
from client.dead_letter import DeadLetter, DeadLetterPage, Purged
from client.flow import Flow, Tell, TellingFlow
from client.problem_errors import DeadLetterNotFoundError
from client.task import Task

_PAGE_SIZE = "100"


def list_all(calls: Calls) -> TellingFlow[DeadLetter]:
    """Tell all of them, newest first; the next page is asked for when it is reached."""
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
    """One, with its body."""
    return calls.record(DeadLetter, calls.request("GET", path_of("dead-letters", letter_id)))


def replay(calls: Calls, letter_id: str) -> Flow[Task]:
    """Give its task another chance; returns the task. A message too many does no harm."""
    return calls.record(Task, calls.request("POST", path_of("dead-letters", letter_id, "replay")))


def delete(calls: Calls, letter_id: str) -> Flow[None]:
    """Forget one."""
    try:
        yield from calls.answered(calls.request("DELETE", path_of("dead-letters", letter_id)))
    except DeadLetterNotFoundError as refused:
        if refused.attempts == 1:  # else an earlier try did it
            raise


def purge(calls: Calls, older_than: datetime) -> Flow[int]:
    """Forget all that died before a moment, in as many calls as it takes; returns how many."""
    deleted, more = 0, True
    while more:
        query = {"older_than": older_than.isoformat()}
        purged = yield from calls.record(
            Purged, calls.request("DELETE", path_of("dead-letters"), query=query)
        )
        deleted, more = deleted + purged.deleted, purged.more
    return deleted
