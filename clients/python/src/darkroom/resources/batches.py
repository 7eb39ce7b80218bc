"""Submission and changes of many tasks: as few calls as possible, with retries per item."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, TypeAlias, TypeVar

import httpx

from darkroom.calls import Calls, keep_unknown, read_as
from darkroom.errors import (
    ClientError,
    ConfigurationError,
    ProblemError,
    TaskNotFoundError,
    UnexpectedResponseError,
    problem_error,
)
from darkroom.models.record import Record
from darkroom.models.task import Task, TaskRef, id_of
from darkroom.pictures import PICTURE_FIELDS
from darkroom.resources.inputs import with_ids
from darkroom.resources.tasks import TaskFilters, query_value
from darkroom.sansio import Operation, Sleep
from darkroom.submission import Submission, idempotency_key_or_new, json_value, submission_body

MAX_ITEMS = 100
MAX_BYTES = 990_000
"""A little less than the API's limit, for the text around the items."""
Outcome: TypeAlias = Task | ClientError
"""The outcome of one submission."""
ChangeOutcome: TypeAlias = Task | ClientError | None
"""The outcome of one change: the changed task, an error, or None for a deleted task."""
_Key = TypeVar("_Key")
_ItemOutcome = TypeVar("_ItemOutcome")


class _Result(Record):
    status: int
    task: Task | None
    problem: dict[str, Any] | None
    retry_after_seconds: float | None = None


class _Batch(Record):
    results: tuple[_Result, ...]


class _Change(_Result):
    task_id: str


class _Changes(Record):
    results: tuple[_Change, ...]
    next_page_token: str | None = None


def submit_many(calls: Calls, submissions: Iterable[Submission]) -> Operation[tuple[Outcome, ...]]:
    """Upload the pictures, submit all and return the outcomes in the same order.

    All attempts of an item carry the same idempotency key. Raises ConfigurationError before
    anything is sent.
    """
    items = yield from _with_uploads(calls, list(_items(submissions)))

    def send(indexes: Sequence[int]) -> Operation[dict[int, Outcome]]:
        outcomes: dict[int, Outcome] = {}
        for part in _parts(indexes, items):
            results = yield from _submit(calls, [items[index] for index in part])
            outcomes.update(zip(part, results, strict=True))
        return outcomes

    outcomes = yield from _with_retries(calls, (yield from send(range(len(items)))), send)
    return tuple(outcomes[index] for index in range(len(items)))


def change_many(
    calls: Calls,
    verb: str,
    tasks: Iterable[TaskRef] | None,
    filters: TaskFilters,
    fields: Mapping[str, Any] | None = None,
) -> Operation[dict[str, ChangeOutcome]]:
    """Change tasks, by ids or by filters, and return the outcome of each by its id.

    Raises ConfigurationError before anything is sent, and ClientError if a call with filters fails.
    """
    conditions = {name: value for name, value in filters.items() if value is not None}
    if (tasks is None) == (not conditions):
        raise ConfigurationError("give either tasks, or at least one filter such as `label` or `status`")
    path, extra = f"/v1/tasks:{verb}", dict(fields or {})
    outcome_of = partial(_change_outcome, calls, is_deletion=verb == "delete")

    def send(ids: Sequence[str]) -> Operation[dict[str, ChangeOutcome]]:
        outcomes: dict[str, ChangeOutcome] = {}
        for start in range(0, len(ids), MAX_ITEMS):
            part = list(ids[start : start + MAX_ITEMS])
            request = calls.request("POST", path, body={**extra, "task_ids": part})
            try:
                response, is_unknown = yield from calls.send_tracked(request, may_fail_midway=True)
                results = read_as(_Changes, response).results
                if sorted(result.task_id for result in results) != sorted(part):
                    reason = "its results are those of other tasks"
                    raise UnexpectedResponseError(calls.address.url, response.status_code, reason)
                outcomes |= {result.task_id: outcome_of(result, is_unknown=is_unknown) for result in results}
            except ClientError as error:
                outcomes |= {each: copy(error) for each in part}
        return outcomes

    if tasks is None:
        outcomes = yield from _change_selected(calls, path, extra, conditions, outcome_of)
    else:
        outcomes = yield from send(list(dict.fromkeys(_ids_of(tasks))))
    outcomes = yield from _with_retries(calls, outcomes, send)
    if verb == "delete":
        outcomes = {each: None if _is_deleted(outcome) else outcome for each, outcome in outcomes.items()}
    return outcomes


def _is_deleted(outcome: ChangeOutcome) -> bool:
    """Return whether a task no longer exists that an earlier attempt may have deleted."""
    return isinstance(outcome, TaskNotFoundError) and outcome.outcome_is_unknown


def _ids_of(tasks: Iterable[TaskRef]) -> Iterator[str]:
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise ConfigurationError(f"the tasks must be a list or another iterable (got {type(tasks).__name__})")
    return map(id_of, tasks)


def _change_selected(
    calls: Calls,
    path: str,
    extra: Mapping[str, Any],
    conditions: Mapping[str, Any],
    outcome_of: Callable[[_Change], ChangeOutcome],
) -> Operation[dict[str, ChangeOutcome]]:
    """Change the tasks of all pages that a filter selects."""
    body = {**extra, "filter": {name: query_value(value) for name, value in conditions.items()}}
    outcomes: dict[str, ChangeOutcome] = {}
    while True:
        changes = yield from calls.fetch(_Changes, calls.request("POST", path, body=body))
        outcomes |= {result.task_id: outcome_of(result) for result in changes.results}
        token = calls.next_page_token(changes.next_page_token, body.get("page_token"), changes.results)
        if token is None:
            return outcomes
        body["page_token"] = token


def _with_retries(
    calls: Calls,
    outcomes: dict[_Key, _ItemOutcome],
    send: Callable[[Sequence[_Key]], Operation[dict[_Key, _ItemOutcome]]],
) -> Operation[dict[_Key, _ItemOutcome]]:
    """Send the items with a retryable problem again, and return the last outcome of each."""
    failures, pending = 0, dict(outcomes)
    while True:
        # A call that failed as a whole was retried already: its errors have more than one attempt.
        retried = {
            key: outcome
            for key, outcome in pending.items()
            if isinstance(outcome, ProblemError) and outcome.retryable and outcome.attempts == 1
        }
        if not retried:
            return outcomes
        failures += 1
        longest = max(outcome.retry_after_seconds or 0.0 for outcome in retried.values())
        pause = calls.retries.pause_seconds(failures, longest)
        if pause is None:
            return outcomes
        yield Sleep(pause)
        pending = yield from send(list(retried))
        for key, outcome in pending.items():
            if isinstance(outcome, ClientError):
                keep_unknown(outcome, retried[key].outcome_is_unknown)
        outcomes = {**outcomes, **pending}


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

    If it fails as a whole, return the error for each item: some may have been accepted. Each error
    has the key of its item.
    """
    outcomes: list[Outcome]
    request = calls.request("POST", "/v1/tasks:batch", body={"tasks": items})
    try:
        response, is_unknown = yield from calls.send_tracked(request)
        batch = read_as(_Batch, response)
        if len(batch.results) != len(items):
            reason = f"{len(batch.results)} results for {len(items)} tasks"
            raise UnexpectedResponseError(calls.address.url, response.status_code, reason)
        outcomes = [_outcome(result, is_unknown) for result in batch.results]
    except ClientError as error:
        outcomes = [copy(error) for _ in items]
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, ClientError):
            outcome.idempotency_key = item["idempotency_key"]
    return outcomes


def _outcome(result: _Result, is_unknown: bool) -> Outcome:
    if result.task is not None:
        return result.task
    error = _error_of(result)
    keep_unknown(error, is_unknown)
    return error


def _change_outcome(
    calls: Calls, result: _Change, *, is_deletion: bool, is_unknown: bool = False
) -> ChangeOutcome:
    """Return the outcome. `is_unknown`: an earlier attempt may have changed the task."""
    if result.problem is None:
        if (result.status == httpx.codes.NO_CONTENT) if is_deletion else (result.task is not None):
            return result.task
        return UnexpectedResponseError(calls.address.url, result.status, "a result without an outcome")
    error = _error_of(result)
    error.outcome_is_unknown = error.outcome_is_unknown or httpx.codes.is_server_error(result.status)
    keep_unknown(error, is_unknown)
    return error


def _error_of(result: _Result) -> ClientError:
    return problem_error(
        result.problem or {}, status=result.status, retry_after_seconds=result.retry_after_seconds
    )
