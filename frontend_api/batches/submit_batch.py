"""Submit many tasks at once.

Each is accepted or rejected by itself; all accepted tasks are stored and published together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from common.domain.errors import (
    DependencyUnavailableError,
    DomainError,
    ParametersRejectedError,
    TaskAlreadyExistsError,
    TaskNotFoundError,
)
from common.domain.task import Task
from frontend_api.quotas.limits import QuotaExceededError
from frontend_api.tasks.ports import PromptTokenizers, TaskBatches
from frontend_api.tasks.submit import (
    CHANGEABLE_REFUSALS,
    IdempotencyKeyReusedError,
    OutcomeUnknownError,
    Submission,
    SubmitTask,
    Submitted,
    TaskNotConfirmedError,
    task_id_of,
)

MAX_COUNTED_CHARACTERS = 10_000
"""Prompts of a batch whose tokens are counted at submission, together. This bounds the processor
time: counting takes up to two microseconds per character.
"""
Outcome: TypeAlias = Submitted | DomainError
"""The result of one submission: what SubmitTask would return or raise."""


class CountedPrompts:
    """The PromptTokenizers of one batch: each text is counted once, up to the limit of all texts."""

    def __init__(self, tokenizers: PromptTokenizers) -> None:
        self._tokenizers = tokenizers
        self._found: dict[tuple[str, str], Sequence[int] | None] = {}
        self._texts: set[tuple[str | None, str]] = set()
        self._left = MAX_COUNTED_CHARACTERS

    def admit(self, submission: Submission) -> bool:
        """Return whether the tokens of the prompts may be counted; else the worker counts them."""
        prompts = (submission.parameters.get(name) for name in ("prompt", "negative_prompt"))
        new = {(submission.model, prompt) for prompt in prompts if prompt} - self._texts
        characters = sum(len(prompt) for _, prompt in new)
        if characters > self._left:
            return False
        self._left -= characters
        self._texts |= new
        return True

    def token_starts(self, model: str, text: str) -> Sequence[int] | None:
        key = (model, text)
        if key not in self._found:
            self._found[key] = self._tokenizers.token_starts(model, text)
        return self._found[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitBatch:
    """Submits batches. The rules and the task ids are those of `submit_task`."""

    submit_task: SubmitTask
    batches: TaskBatches

    def __call__(self, user_id: str, submissions: Sequence[Submission]) -> tuple[Outcome, ...]:
        """Submit one caller's tasks and return the result of each, in the same order.

        Raises DependencyUnavailableError, and stores nothing, when quotas or inputs cannot be read.
        """
        counted = CountedPrompts(self.submit_task.prompt_tokenizers)
        tasks = self._with_known_inputs([self._build(submission, counted) for submission in submissions])
        first: dict[str, Task] = {}
        for task in tasks:
            if isinstance(task, Task):
                first.setdefault(task.id, task)
        outcomes = self._store(user_id, list(first.values()))
        outcomes |= self._find_replays(
            {task_id: outcomes[task_id] for task_id in _ids_with_key(tasks, submissions)}
        )
        matched = self._replays_of_refused(
            submissions, [self._match(task, first, outcomes) for task in tasks]
        )
        unpublished = self._publish(matched)
        return tuple(
            unpublished.get(outcome.task.id, outcome) if isinstance(outcome, Submitted) else outcome
            for outcome in matched
        )

    def _build(self, submission: Submission, counted: CountedPrompts) -> Task | DomainError:
        try:
            return self.submit_task.new_task(submission, counted if counted.admit(submission) else None)
        except DomainError as error:
            return error

    def _with_known_inputs(self, tasks: Sequence[Task | DomainError]) -> list[Task | DomainError]:
        """Replace the tasks whose inputs do not exist by their refusals."""
        checked = iter(self.submit_task.inputs.check([task for task in tasks if isinstance(task, Task)]))
        return [next(checked) or task if isinstance(task, Task) else task for task in tasks]

    def _store(self, user_id: str, tasks: Sequence[Task]) -> dict[str, Outcome]:
        """Store the tasks within the caller's quotas and return the results by id."""
        estimator = self.submit_task.estimator
        allowance = self.submit_task.quotas.submissions_of(user_id, tasks)
        within, beyond = tasks[: allowance.granted], tasks[allowance.granted :]
        created: tuple[Task | DomainError, ...] = ()
        try:
            created = self._create(estimator.with_predictions(within)) if within else ()
        finally:
            allowance.settle(stored=[isinstance(each, Task) for each in created])
        for each in created:
            if isinstance(each, Task):
                estimator.add_stored(each)
        outcomes: dict[str, Outcome] = {
            task.id: Submitted(task=each, replayed=False) if isinstance(each, Task) else each
            for task, each in zip(within, created, strict=True)
        }
        if allowance.refusal is not None:
            outcomes |= dict.fromkeys((task.id for task in beyond), allowance.refusal)
        return outcomes

    def _create(self, tasks: Sequence[Task]) -> tuple[Task | DomainError, ...]:
        """Return the result of each; after a store timeout, each may be stored nevertheless."""
        try:
            created = self.batches.create(tasks)
        except DependencyUnavailableError as error:
            created = (error,) * len(tasks)
        return tuple(
            OutcomeUnknownError(task.id, each) if isinstance(each, DependencyUnavailableError) else each
            for task, each in zip(tasks, created, strict=True)
        )

    def _find_replays(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Return those of the rejected tasks that an earlier request has stored."""
        kinds = (TaskAlreadyExistsError, QuotaExceededError)
        candidates = [task_id for task_id, outcome in outcomes.items() if isinstance(outcome, kinds)]
        if not candidates:
            return {}
        try:
            stored = self.batches.get(candidates)
        except DependencyUnavailableError as error:
            return {task_id: OutcomeUnknownError(task_id, error) for task_id in candidates}
        replayed: dict[str, Outcome] = {}
        for task_id in candidates:
            if task_id in stored:
                replayed[task_id] = Submitted(task=stored[task_id], replayed=True)
            elif isinstance(outcomes[task_id], TaskAlreadyExistsError):
                replayed[task_id] = TaskNotFoundError(task_id)  # deleted between the two calls
        return replayed

    def _match(
        self, requested: Task | DomainError, first: Mapping[str, Task], outcomes: Mapping[str, Outcome]
    ) -> Outcome:
        """Return the result of one submission: a later one with the same id replays the first."""
        if isinstance(requested, DomainError):
            return requested
        outcome = outcomes[requested.id]
        is_first = first[requested.id] is requested
        if isinstance(outcome, DomainError) or (is_first and not outcome.replayed):
            return outcome
        try:
            self.submit_task.check_same_request(outcome.task, requested)
        except IdempotencyKeyReusedError as error:
            return error
        return Submitted(task=outcome.task, replayed=True)

    def _replays_of_refused(
        self, submissions: Sequence[Submission], outcomes: Sequence[Outcome]
    ) -> list[Outcome]:
        """Replace refusals by the tasks of earlier identical requests, which were accepted then."""
        refused = {
            index: task_id_of(submission.user_id, submission.idempotency_key)
            for index, (submission, outcome) in enumerate(zip(submissions, outcomes, strict=True))
            if isinstance(outcome, CHANGEABLE_REFUSALS) and submission.idempotency_key is not None
        }
        matched = list(outcomes)
        if not refused:
            return matched
        try:
            stored = self.batches.get(set(refused.values()))
        except DependencyUnavailableError:
            return matched
        for index, task_id in refused.items():
            if task_id in stored and self.submit_task.is_replay(stored[task_id], submissions[index]):
                matched[index] = Submitted(task=stored[task_id], replayed=True)
        return matched

    def _publish(self, outcomes: Iterable[Outcome]) -> Mapping[str, DomainError]:
        """Keep the inputs of the tasks that need a message, and publish them.

        Returns the errors of those that were not published, or without a confirmation, by id.
        """
        publisher = self.submit_task.publisher
        wanted: dict[str, Submitted] = {}
        for outcome in outcomes:
            if isinstance(outcome, Submitted) and publisher.needs_message(outcome.task):
                wanted.setdefault(outcome.task.id, outcome)
        errors = self._keep_inputs(wanted.values())
        # First: a task that is stored would be published by rescue, although it is reported as refused.
        refused = [task_id for task_id, error in errors.items() if isinstance(error, ParametersRejectedError)]
        errors |= self.submit_task.withdraw(*(wanted[task_id].task for task_id in refused))
        tasks = [each.task for task_id, each in wanted.items() if task_id not in errors]
        try:
            if tasks:
                publisher.publish(*tasks)
        except DependencyUnavailableError as error:
            return {**errors, **{task.id: TaskNotConfirmedError(task.id, error) for task in tasks}}
        return errors

    def _keep_inputs(self, wanted: Iterable[Submitted]) -> dict[str, DomainError]:
        """Return the errors of the tasks that are not published for want of their inputs, by id.

        Others need no bucket.
        """
        found = [each for each in wanted if each.task.parameters.inputs]
        try:
            refusals = self.submit_task.inputs.keep([each.task for each in found])
        except DependencyUnavailableError as error:
            return {each.task.id: TaskNotConfirmedError(each.task.id, error) for each in found}
        return {
            each.task.id: unpublished
            for each, refusal in zip(found, refusals, strict=True)
            if refusal and (unpublished := self.submit_task.error_without_inputs(each, refusal))
        }


def _ids_with_key(tasks: Sequence[Task | DomainError], submissions: Sequence[Submission]) -> set[str]:
    """Return the ids that an earlier request may have used; without a key they are random."""
    return {
        task.id
        for task, submission in zip(tasks, submissions, strict=True)
        if isinstance(task, Task) and submission.idempotency_key is not None
    }
