"""Submission of many tasks: as few calls as possible, with retries per item."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from darkroom.calls import Calls, read_as
from darkroom.errors import ClientError, ConfigurationError
from darkroom.models.record import Record
from darkroom.models.task import Task
from darkroom.problem_errors import ProblemError, problem_error
from darkroom.sansio import Flow, Pause
from darkroom.submission import Submission, checked_idempotency_key, new_idempotency_key, submission_body

MOST_AT_ONCE = 100
Outcome: TypeAlias = Task | ClientError
"""The outcome of one submission."""
_Item = TypeVar("_Item")
_Body: TypeAlias = dict[str, Any]


class _Result(Record):
    status: int
    task: Task | None
    problem: dict[str, Any] | None
    retry_after_seconds: float | None = None


class _Batch(Record):
    results: tuple[_Result, ...]


def submit_many(calls: Calls, submissions: Iterable[Submission]) -> Flow[tuple[Outcome, ...]]:
    """Submit all and return the outcomes in the same order.

    All attempts of an item carry the same idempotency key. Raises ConfigurationError before
    anything is sent.
    """
    bodies = list(_bodies(submissions))
    outcomes: list[Outcome] = []
    for some in _batched(bodies):
        outcomes += yield from _submitted(calls, some)
    failures = 0
    while again := [place for place, outcome in enumerate(outcomes) if _may_be_over(outcome)]:
        failures += 1
        pause = calls.retries.pause_seconds(failures, max(_asked_for(outcomes[place]) for place in again))
        if pause is None:
            break
        yield Pause(pause)
        for places in _batched(again):
            tried = yield from _submitted(calls, [bodies[place] for place in places])
            for place, outcome in zip(places, tried, strict=True):
                outcomes[place] = outcome
    return tuple(outcomes)


def batch_item(submission: Submission) -> _Body:
    """Return the JSON of one item; a missing idempotency key is generated.

    Raises ConfigurationError.
    """
    fields: dict[str, Any] = dict(submission)
    if "prompt" not in fields:
        raise ConfigurationError("/prompt: is required")
    prompt, key = fields.pop("prompt"), fields.pop("idempotency_key", None)
    used = new_idempotency_key() if key is None else checked_idempotency_key(key)
    return {**submission_body(prompt, fields), "idempotency_key": used}


def _bodies(submissions: Iterable[Submission]) -> Iterator[_Body]:
    for index, submission in enumerate(submissions):
        try:
            yield batch_item(submission)
        except ConfigurationError as error:
            raise ConfigurationError(f"submission {index} (from 0): {error}") from error


def _submitted(calls: Calls, bodies: Sequence[_Body]) -> Flow[list[Outcome]]:
    """Send one call.

    If it fails as a whole, return the error for each item: some may have been accepted.
    """
    request = calls.request("POST", "/v1/tasks:batch", body={"tasks": list(bodies)})
    try:
        batch = read_as(_Batch, (yield from calls.answered(request)))
        return [_outcome(result) for result in batch.results]
    except ClientError as error:
        return [error] * len(bodies)


def _outcome(result: _Result) -> Outcome:
    if result.task is not None:
        return result.task
    return problem_error(
        result.problem or {}, status=result.status, retry_after_seconds=result.retry_after_seconds
    )


def _may_be_over(outcome: Outcome) -> bool:
    """Return whether to retry an item. A call that failed as a whole has been retried already."""
    return isinstance(outcome, ProblemError) and outcome.retryable and outcome.attempts == 1


def _asked_for(outcome: Outcome) -> float:
    return (outcome.retry_after_seconds or 0.0) if isinstance(outcome, ProblemError) else 0.0


def _batched(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Split the items into parts that fit into one call."""
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]
