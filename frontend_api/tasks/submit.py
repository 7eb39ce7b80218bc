"""Submit a task: check it, store it, publish it.

It is stored before it is published, so that no accepted task can be lost.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from common.domain.errors import (
    DependencyUnavailableError,
    DomainError,
    FieldProblem,
    ParametersRejectedError,
    TaskAlreadyExistsError,
    TaskNotFoundError,
    UnknownModelError,
)
from common.domain.models.catalog import ModelCatalog
from common.domain.task import Lane, Task
from common.domain.task_warnings import warnings_of
from common.observability.tracing import current_traceparent
from common.ports import Clock, TaskStore
from frontend_api.content_policy.ports import ContentPolicy
from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.inputs.use import UseInputs
from frontend_api.quotas.limits import QuotaExceededError
from frontend_api.quotas.quotas import Quotas
from frontend_api.tasks.ports import PromptTokenizers
from frontend_api.tasks.publisher import TaskPublisher
from frontend_api.webhooks.callback_headers import HeaderCipher
from frontend_api.webhooks.callback_seal import CallbackSeal
from frontend_api.webhooks.url_policy import CallbackRefusedError, CallbackUrlPolicy

CHANGEABLE_REFUSALS = (UnknownModelError, ParametersRejectedError)
"""Refusals that depend on the model catalog or the content policy, which a release may change."""


class IdempotencyKeyReusedError(DomainError):
    code = "idempotency_key_reused"


class OutcomeUnknownError(DependencyUnavailableError):
    """A dependency timed out: the task with this id may be stored, now or soon, or not."""

    _detail = (
        "did not confirm in time whether the task is stored; read the task by `task_id`, "
        "or send the request again with the same idempotency key"
    )

    def __init__(self, task_id: str, unavailable: DependencyUnavailableError) -> None:
        super().__init__(unavailable.dependency, self._detail)
        self.stored_task_id = task_id


class TaskNotConfirmedError(OutcomeUnknownError):
    """The task is stored but its message is not confirmed; rescue or a replay publishes it."""

    _detail = "is unavailable; the task is stored and will be queued later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A caller's request. `parameters` holds well-typed values by name; None means not given."""

    user_id: str
    parameters: Mapping[str, Any]
    model: str | None = None
    lane: Lane = Lane.INTERACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    start_within: timedelta | None = None
    callback_url: str | None = None
    callback_events: tuple[str, ...] = ("finished",)
    callback_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    idempotency_key: str | None = None

    @property
    def digest(self) -> str:
        """A hash of what the caller sent: without the model's defaults, which a release may change.

        Of callback headers it contains only the names, since the values are secret.
        """
        given = {name: value for name, value in self.parameters.items() if value is not None}
        sent = (
            self.model,
            given,
            self.lane,
            dict(self.labels),
            None if self.start_within is None else self.start_within.total_seconds(),
            self.callback_url,
            self.callback_events,
            *([sorted(self.callback_headers)] if self.callback_headers else []),
        )
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The task that answers a submission; `replayed` if an earlier submission created it."""

    task: Task
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitTask:
    """Submits tasks. A finished task is kept for `keep_for`.

    A request that stored a task is answered within `confirm_within`, or its process is dead.
    """

    catalog: ModelCatalog
    content_policy: ContentPolicy
    store: TaskStore
    clock: Clock
    keep_for: timedelta
    confirm_within: timedelta
    callback_url_policy: CallbackUrlPolicy
    header_cipher: HeaderCipher
    callback_seal: CallbackSeal
    quotas: Quotas
    estimator: TaskEstimator
    prompt_tokenizers: PromptTokenizers
    publisher: TaskPublisher
    inputs: UseInputs

    def __call__(self, submission: Submission) -> Submitted:
        """Accept a submission, or return the task that an earlier identical one created.

        Raises UnknownModelError, ParametersRejectedError and ContentPolicyError, and then no task is
        stored. Also raises:

        - IdempotencyKeyReusedError if the key belongs to a different request.
        - TaskNotConfirmedError if the task is stored but not published.
        - OutcomeUnknownError if it is unknown whether the task is stored.
        - DependencyUnavailableError if the task is certainly not stored.
        - QuotaExceededError and QueueFullError, except for a replay.
        """
        try:
            task = self.checked_task(submission)
        except CHANGEABLE_REFUSALS as refusal:
            return self._replay_of_refused(submission, refusal)
        try:
            with self.quotas.submission_of(task):
                stored = self._create(task)
        except TaskAlreadyExistsError:
            return Submitted(task=self._replay(task), replayed=True)
        except QuotaExceededError as refusal:
            if submission.idempotency_key is None:
                raise
            try:
                return Submitted(task=self._replay(task), replayed=True)
            except TaskNotFoundError:
                raise refusal from None
        submitted = Submitted(task=stored, replayed=False)
        self._publish(submitted)
        self.estimator.add_stored(stored)
        return submitted

    def checked_task(self, submission: Submission) -> Task:
        """Build a submission's task without storing it. Raises as a call does before storing."""
        task = self.new_task(submission, self.prompt_tokenizers)
        (refusal,) = self.inputs.check([task])
        if refusal is not None:
            raise refusal
        return task

    def new_task(self, submission: Submission, tokenizers: PromptTokenizers | None) -> Task:
        """Do the same without a check of the inputs.

        Without `tokenizers`, the task has no warnings about its length until the worker adds them.
        """
        if submission.callback_url is not None:
            self._check_callback(submission.callback_url)
        elif submission.callback_headers:
            raise _invalid("/callback_headers", "needs `callback_url`")
        callback_headers = self._encrypted_headers_of(submission)
        spec = self.catalog.default if submission.model is None else self.catalog.get(submission.model)
        task_id = (
            uuid.uuid4().hex
            if submission.idempotency_key is None
            else task_id_of(submission.user_id, submission.idempotency_key)
        )
        parameters = spec.completed(submission.parameters, seed=derived_seed(task_id))
        self.content_policy.check(parameters)
        task = Task.submitted(
            task_id=task_id,
            user_id=submission.user_id,
            parameters=parameters,
            work_units=spec.work_units_of(parameters),
            now=self.clock.now(),
            keep_for=self.keep_for,
            start_within=submission.start_within,
            lane=submission.lane,
            labels=submission.labels,
            callback_url=submission.callback_url,
            callback_events=submission.callback_events,
            callback_headers=callback_headers,
            traceparent=current_traceparent(),
        )
        warnings = warnings_of(
            parameters,
            max_prompt_tokens=spec.max_prompt_tokens,
            token_starts=None if tokenizers is None else partial(tokenizers.token_starts, spec.name),
        )
        return self.callback_seal.on(replace(task, warnings=warnings, request_digest=submission.digest))

    def withdraw(self, *refused: Task) -> dict[str, DomainError]:
        """Delete tasks that are refused after they were stored. Return errors of those that may still be stored.

        Another request may have published the task meanwhile, or changed it; then it stays. Once the
        store is unavailable, no more tasks are tried: the response waits for each.
        """
        errors: dict[str, DomainError] = {}
        unavailable: DependencyUnavailableError | None = None
        for task in refused:
            if unavailable is None:
                try:
                    if not self.store.delete_unchanged(task):
                        errors[task.id] = OutcomeUnknownError(
                            task.id, DependencyUnavailableError("firestore")
                        )
                except DependencyUnavailableError as exc:
                    unavailable = exc
            if unavailable is not None:
                errors[task.id] = OutcomeUnknownError(task.id, unavailable)
        return errors

    def error_without_inputs(self, submitted: Submitted, refusal: DomainError) -> DomainError | None:
        """Return why a stored task is not published whose input was deleted; None if it is published.

        The request that stored it refuses it, and a replay leaves that to the request while it may be
        running. Later the task was accepted, and a worker fails it.
        """
        if not submitted.replayed:
            return refusal
        task = submitted.task
        if task.queued_at < self.clock.now() - self.confirm_within:
            return None
        return OutcomeUnknownError(task.id, DependencyUnavailableError("storage"))

    def is_replay(self, stored: Task, submission: Submission) -> bool:
        """Return whether a submission that is refused now is the one that created this task."""
        return stored.request_digest == submission.digest and self._has_same_headers(
            stored, self._encrypted_headers_of(submission)
        )

    def check_same_request(self, stored: Task, requested: Task) -> None:
        """Raise IdempotencyKeyReusedError unless both tasks result from the same request.

        Requests are the same if the same was sent, or if it is the same with all defaults filled in.
        """
        was_sent = stored.request_digest is not None and stored.request_digest == requested.request_digest
        if not self._has_same_headers(stored, requested.callback_headers) or not (
            was_sent or _is_same_completed_request(stored, requested)
        ):
            raise IdempotencyKeyReusedError("this idempotency key was used before for a different request")

    def _encrypted_headers_of(self, submission: Submission) -> Mapping[str, str]:
        headers = submission.callback_headers
        return self.header_cipher.encrypt(submission.user_id, headers) if headers else {}

    def _has_same_headers(self, stored: Task, encrypted: Mapping[str, str]) -> bool:
        """Return whether the callback headers have the same values, as far as the webhook key shows.

        Values that were encrypted with another key cannot be compared and count as the same.
        """
        if stored.callback_headers == encrypted:
            return True
        try:
            self.header_cipher.decrypt(stored.user_id, stored.callback_headers)
        except CallbackRefusedError:
            return True
        return False

    def _create(self, task: Task) -> Task:
        (predicted,) = self.estimator.with_predictions([task])
        try:
            return self.store.create(predicted)
        except DependencyUnavailableError as exc:
            raise OutcomeUnknownError(task.id, exc) from exc

    def _check_callback(self, url: str) -> None:
        try:
            self.callback_url_policy.parse(url)
        except CallbackRefusedError as exc:
            raise _invalid("/callback_url", str(exc)) from exc

    def _replay(self, requested: Task) -> Task:
        stored = self._stored(requested.id)
        self.check_same_request(stored, requested)
        return self._republish(stored)

    def _replay_of_refused(self, submission: Submission, refusal: DomainError) -> Submitted:
        """Return the task of an earlier identical request, which was accepted at that time."""
        if submission.idempotency_key is None:
            raise refusal
        try:
            stored = self._stored(task_id_of(submission.user_id, submission.idempotency_key))
        except TaskNotFoundError:
            raise refusal from None
        if not self.is_replay(stored, submission):
            raise refusal
        return Submitted(task=self._republish(stored), replayed=True)

    def _stored(self, task_id: str) -> Task:
        try:
            return self.store.get(task_id)
        except DependencyUnavailableError as exc:
            raise OutcomeUnknownError(task_id, exc) from exc

    def _republish(self, task: Task) -> Task:
        if self.publisher.needs_message(task):
            self._publish(Submitted(task=task, replayed=True))
        return task

    def _publish(self, submitted: Submitted) -> None:
        """Keep the inputs of a stored task, then publish it."""
        task = submitted.task
        try:
            (refusal,) = self.inputs.keep([task])
            error = refusal and self.error_without_inputs(submitted, refusal)
            if error is None:
                self.publisher.publish(task)
                return
        except DependencyUnavailableError as exc:
            raise TaskNotConfirmedError(task.id, exc) from exc
        raise error if submitted.replayed else self.withdraw(task).get(task.id, error)


def _invalid(pointer: str, detail: str) -> ParametersRejectedError:
    return ParametersRejectedError("1 field is invalid", (FieldProblem(pointer, detail),))


def task_id_of(user_id: str, idempotency_key: str) -> str:
    """Return the task id of a caller's key. A key is printable, so NUL cannot occur in it."""
    return hashlib.sha256(f"{user_id}\0{idempotency_key}".encode()).hexdigest()[:32]


def derived_seed(task_id: str) -> int:
    """Return the seed for a request without one: random like the id, and equal for every replay."""
    return int.from_bytes(hashlib.sha256(f"seed of {task_id}".encode()).digest()[:4])


def _is_same_completed_request(stored: Task, requested: Task) -> bool:
    # A retry removes a task's deadline, so the requested deadline of a retried task is unknown.
    was_retried = stored.start_by is None and stored.queued_at > stored.created_at
    has_same_deadline = was_retried or _start_within(stored) == _start_within(requested)
    return has_same_deadline and _request_of(stored) == _request_of(requested)


def _start_within(task: Task) -> timedelta | None:
    return None if task.start_by is None else task.start_by - task.created_at


def _request_of(task: Task) -> tuple[object, ...]:
    callback = (task.callback_url, task.callback_events, sorted(task.callback_headers))
    return (task.user_id, task.parameters, task.lane, dict(task.labels), callback)
