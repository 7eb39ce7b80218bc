"""Submission of many tasks: as few calls as possible, with retries per item."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from darkroom.calls import Calls, read_as
from darkroom.errors import (
    ClientError,
    ConfigurationError,
    ProblemError,
    UnexpectedResponseError,
    problem_error,
)
from darkroom.models.record import Record
from darkroom.models.task import Task
from darkroom.pictures import PICTURE_FIELDS
from darkroom.resources.inputs import with_ids
from darkroom.sansio import Operation, Sleep
from darkroom.submission import Submission, idempotency_key_or_new, json_value, submission_body

MAX_ITEMS = 100
MAX_BYTES = 990_000
"""A little less than the API's limit, for the text around the items."""
Outcome: TypeAlias = Task | ClientError
"""The outcome of one submission."""


class _Result(Record):
    status: int
    task: Task | None
    problem: dict[str, Any] | None
    retry_after_seconds: float | None = None


class _Batch(Record):
    results: tuple[_Result, ...]


def submit_many(calls: Calls, submissions: Iterable[Submission]) -> Operation[tuple[Outcome, ...]]:
    """Upload the pictures, submit all and return the outcomes in the same order.

    All attempts of an item carry the same idempotency key. Raises ConfigurationError before
    anything is sent.
    """
    items = yield from _with_uploads(calls, list(_items(submissions)))
    outcomes: dict[int, Outcome] = {}
    pending = list(range(len(items)))
    failures = 0
    while True:
        for indexes in _parts(pending, items):
            results = yield from _submit(calls, [items[index] for index in indexes])
            outcomes.update(zip(indexes, results, strict=True))
        # A call that failed as a whole was retried already: its errors have more than one attempt.
        retried = {
            index: outcome
            for index in pending
            if isinstance(outcome := outcomes[index], ProblemError)
            and outcome.retryable
            and outcome.attempts == 1
        }
        if not retried:
            break
        failures += 1
        longest = max(outcome.retry_after_seconds or 0.0 for outcome in retried.values())
        pause = calls.retries.pause_seconds(failures, longest)
        if pause is None:
            break
        yield Sleep(pause)
        pending = list(retried)
    return tuple(outcomes[index] for index in range(len(items)))


def _parts(indexes: Iterable[int], items: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """Yield the indexes of the items of each call."""
    part: list[int] = []
    part_bytes = 0
    for index in indexes:
        item_bytes = len(json.dumps(json_value(items[index]), ensure_ascii=False).encode()) + 2
        if part and (len(part) == MAX_ITEMS or part_bytes + item_bytes > MAX_BYTES):
            yield part
            part, part_bytes = [], 0
        part.append(index)
        part_bytes += item_bytes
    if part:
        yield part


def batch_item(submission: Submission) -> dict[str, Any]:
    """Return the JSON of one item; a missing idempotency key is generated.

    Raises ConfigurationError.
    """
    if not isinstance(submission, Mapping):
        raise ConfigurationError(f"must be a mapping of fields (got {type(submission).__name__})")
    fields: dict[str, Any] = dict(submission)
    if "prompt" not in fields:
        raise ConfigurationError("/prompt: is required")
    key = idempotency_key_or_new(fields.pop("idempotency_key", None))
    pictures = {name: fields.pop(name) for name in PICTURE_FIELDS if fields.get(name) is not None}
    return {**submission_body(fields.pop("prompt"), fields), **pictures, "idempotency_key": key}


def _with_uploads(calls: Calls, items: Iterable[dict[str, Any]]) -> Operation[list[dict[str, Any]]]:
    uploaded: dict[object, str] = {}
    with_pictures = []
    for item in items:
        with_pictures.append((yield from with_ids(calls, item, uploaded=uploaded)))
    return with_pictures


def _items(submissions: Iterable[Submission]) -> Iterator[dict[str, Any]]:
    if not isinstance(submissions, Iterable) or isinstance(submissions, Mapping | str | bytes):
        raise ConfigurationError(
            f"the submissions must be a list or another iterable (got {type(submissions).__name__})"
        )
    for index, submission in enumerate(submissions):
        try:
            yield batch_item(submission)
        except ConfigurationError as error:
            raise ConfigurationError(f"submission {index} (counted from 0): {error}") from error


def _submit(calls: Calls, items: Sequence[dict[str, Any]]) -> Operation[list[Outcome]]:
    """Send one call.

    If it fails as a whole, return the error for each item: some may have been accepted.
    """
    request = calls.request("POST", "/v1/tasks:batch", body={"tasks": items})
    try:
        response = yield from calls.send(request)
        batch = read_as(_Batch, response)
        if len(batch.results) != len(items):
            reason = f"{len(batch.results)} results for {len(items)} tasks"
            raise UnexpectedResponseError(calls.address.url, response.status_code, reason)
        return [_outcome(result) for result in batch.results]
    except ClientError as error:
        return [error] * len(items)


def _outcome(result: _Result) -> Outcome:
    if result.task is not None:
        return result.task
    return problem_error(
        result.problem or {}, status=result.status, retry_after_seconds=result.retry_after_seconds
    )
