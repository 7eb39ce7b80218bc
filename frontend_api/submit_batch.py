"""Submit many tasks at once: each is accepted or refused by itself, all are stored and published together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from common.domain.errors import (
    DependencyUnavailableError,
    DomainError,
    TaskAlreadyExistsError,
    TaskNotFoundError,
)
from common.domain.task import Task
from frontend_api.quotas import QuotaExceededError
from frontend_api.submit_task import (
    IdempotencyKeyReusedError,
    OutcomeUnknownError,
    Submission,
    SubmitTask,
    Submitted,
    TaskNotConfirmedError,
    check_same_request,
)
from frontend_api.task_batches import TaskBatches

Outcome: TypeAlias = Submitted | DomainError
"""What became of one submission: what SubmitTask would have returned for it, or raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitBatch:
    """The use case. `submit_task` is its rules: what is accepted singly is accepted here, under the same ids."""

    submit_task: SubmitTask
    batches: TaskBatches

    def __call__(self, user_id: str, submissions: Sequence[Submission]) -> tuple[Outcome, ...]:
        """Accept what can be accepted of one caller's submissions; what became of each, in their order.

        Raises DependencyUnavailableError when quotas cannot be looked at, and then nothing was stored.
        """
        asked = [self._asked(submission) for submission in submissions]
        first: dict[str, Task] = {}
        for task in asked:
            if isinstance(task, Task):
                first.setdefault(task.id, task)
        outcomes = self._stored(user_id, list(first.values()))
        outcomes |= self._replayed({task_id: outcomes[task_id] for task_id in _keyed(asked, submissions)})
        matched = [_matched(task, first, outcomes) for task in asked]
        unconfirmed = self._unconfirmed(matched)
        return tuple(
            unconfirmed.get(outcome.task.id, outcome) if isinstance(outcome, Submitted) else outcome
            for outcome in matched
        )

    def _asked(self, submission: Submission) -> Task | DomainError:
        try:
            return self.submit_task.new_task(submission)
        except DomainError as refusal:
            return refusal

    def _stored(self, user_id: str, tasks: Sequence[Task]) -> dict[str, Outcome]:
        """By id, what came of storing these; beyond the caller's quotas nothing is stored."""
        foretell_task = self.submit_task.foretell_task
        tasks = foretell_task.foretold(tasks)
        allowance = self.submit_task.quotas.submissions_of(user_id, len(tasks))
        within, beyond = tasks[: allowance.granted], tasks[allowance.granted :]
        created: tuple[Task | DomainError, ...] = ()
        try:
            created = self._created(within) if within else ()
        finally:
            allowance.settle(stored=sum(isinstance(each, Task) for each in created))
        for each in created:
            if isinstance(each, Task):
                foretell_task.note_stored(each)
        outcomes: dict[str, Outcome] = {
            task.id: Submitted(task=each, replayed=False) if isinstance(each, Task) else each
            for task, each in zip(within, created, strict=True)
        }
        if allowance.refusal is not None:
            outcomes |= dict.fromkeys((task.id for task in beyond), allowance.refusal)
        return outcomes

    def _created(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        """What became of each; where the store gave no answer in time, each may be stored all the same."""
        try:
            created = self.batches.create(tasks)
        except DependencyUnavailableError as error:
            created = (error,) * len(tasks)
        return tuple(
            OutcomeUnknownError(task.id, each) if isinstance(each, DependencyUnavailableError) else each
            for task, each in zip(tasks, created, strict=True)
        )

    def _replayed(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Those of the refused that an earlier request has stored."""
        kinds = (TaskAlreadyExistsError, QuotaExceededError)
        perhaps = [task_id for task_id, outcome in outcomes.items() if isinstance(outcome, kinds)]
        if not perhaps:
            return {}
        try:
            known = self.batches.get(perhaps)
        except DependencyUnavailableError as error:
            return {task_id: OutcomeUnknownError(task_id, error) for task_id in perhaps}
        replayed: dict[str, Outcome] = {}
        for task_id in perhaps:
            if task_id in known:
                replayed[task_id] = Submitted(task=known[task_id], replayed=True)
            elif isinstance(outcomes[task_id], TaskAlreadyExistsError):
                replayed[task_id] = TaskNotFoundError(task_id)  # deleted between the two calls
        return replayed

    def _unconfirmed(self, outcomes: Iterable[Outcome]) -> Mapping[str, TaskNotConfirmedError]:
        """Publish the tasks among these that need a message; by id, those that are still without."""
        one = self.submit_task
        found = (outcome.task for outcome in outcomes if isinstance(outcome, Submitted))
        tasks = {task.id: task for task in found if one.needs_message(task)}
        if not tasks:
            return {}
        try:
            one.queue.publish(*tasks.values())
        except DependencyUnavailableError as error:
            return {task_id: TaskNotConfirmedError(task_id, error) for task_id in tasks}
        one.enqueued_notes.note(tasks.values(), one.clock.now())
        return {}


def _keyed(asked: Sequence[Task | DomainError], submissions: Sequence[Submission]) -> set[str]:
    """The ids that an earlier request may have used; without a key they are random."""
    return {
        task.id
        for task, submission in zip(asked, submissions, strict=True)
        if isinstance(task, Task) and submission.idempotency_key is not None
    }


def _matched(
    asked: Task | DomainError, first: Mapping[str, Task], outcomes: Mapping[str, Outcome]
) -> Outcome:
    """What became of one: a later one of the same id is a replay of the first."""
    if isinstance(asked, DomainError):
        return asked
    outcome = outcomes[asked.id]
    is_first = first[asked.id] is asked
    if isinstance(outcome, DomainError) or (is_first and not outcome.replayed):
        return outcome
    try:
        check_same_request(outcome.task, asked)
    except IdempotencyKeyReusedError as refusal:
        return refusal
    return Submitted(task=outcome.task, replayed=True)
