"""Task: one user's request for images, and all its transitions. Pure; see `docs/internals/task-lifecycle.md`.

    queued → processing → completed | failed | cancelled

Each transition returns a new Task or raises: InvalidTransitionError if the status forbids it
(terminal states allow no transition but a retry), ClaimLostError if the worker's claim is no longer
the task's. This module decides what a transition may write; the TaskStore decides when.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common.domain.errors import (
    AttemptsExhaustedError,
    ClaimHeldError,
    ClaimLostError,
    InvalidTransitionError,
)
from common.domain.gpu_usage import RunSeconds, Usage
from common.domain.images import FailedImage, Preview, StoredImage
from common.domain.parameters import GenerationParameters
from common.domain.task_fields import DEFAULT_ATTEMPTS
from common.domain.task_records import (
    NO_OUTPUT,
    AttemptOutput,
    Claim,
    Ending,
    Failure,
    Lane,
    Phase,
    Progress,
    TaskStatus,
)
from common.domain.task_steps import TaskSteps

__all__ = [
    "DEFAULT_ATTEMPTS",
    "AttemptOutput",
    "Claim",
    "FailedImage",
    "Failure",
    "Lane",
    "Phase",
    "Progress",
    "RunSeconds",
    "Task",
    "TaskStatus",
    "Usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(TaskSteps):
    """One user's request for images, from acceptance to a terminal state."""

    @classmethod
    def submitted(
        cls,
        *,
        task_id: str,
        user_id: str,
        parameters: GenerationParameters,
        now: datetime,
        keep_for: timedelta,
        work_units: float | None = None,
        attempts: int = DEFAULT_ATTEMPTS,
        start_within: timedelta | None = None,
        predicted_seconds: float | None = None,
        lane: Lane = Lane.INTERACTIVE,
        labels: Mapping[str, str] | None = None,
        callback_url: str | None = None,
        callback_events: tuple[str, ...] = ("finished",),
        callback_headers: Mapping[str, str] | None = None,
        traceparent: str | None = None,
    ) -> "Task":
        """Return a new task, queued. `work_units`: by default those of the requested size."""
        return cls(
            id=task_id,
            user_id=user_id,
            parameters=parameters,
            work_units=parameters.work_units if work_units is None else work_units,
            status=TaskStatus.QUEUED,
            created_at=now,
            updated_at=now,
            queued_at=now,
            keep_for=keep_for,
            start_by=None if start_within is None else now + start_within,
            attempts_left=attempts,
            progress=Progress(steps=parameters.computed_steps),
            predicted_seconds=predicted_seconds,
            lane=lane,
            labels=dict(labels or {}),
            callback_url=callback_url,
            callback_events=callback_events,
            callback_headers=dict(callback_headers or {}),
            traceparent=traceparent,
        )

    # ── the queue ────────────────────────────────────────────────────────────────────────────────────────

    def enqueued(self, now: datetime) -> "Task":
        """Record that Pub/Sub confirmed a message for this task.

        It is allowed in any status, since a worker may already have claimed the task.
        """
        return replace(self, enqueued_at=now, updated_at=now)

    def abandoned(self, failure: Failure, now: datetime) -> "Task":
        """Queued or processing → failed, or cancelled if the owner requested that.

        For a task that no worker will finish. A task that has finished images completes with those.
        """
        self._must_not_be_terminal("abandoned")
        unclaimed = self._without_dead_claim(now)
        if self.cancel_requested_at is not None:
            return unclaimed._ended(TaskStatus.CANCELLED, now)
        return unclaimed._failed_or_partial(failure, now)

    def resubmitted(self, now: datetime, *, attempts: int = DEFAULT_ATTEMPTS) -> "Task":
        """Failed, cancelled or partial → queued, with the same id and seed.

        All attempts are restored; the attempt number keeps growing. Finished images are kept, and the
        next attempt generates the others.
        """
        if not self.can_be_retried:
            raise InvalidTransitionError(
                f"only a failed or cancelled task, or one with failed images, can be retried; this is {self.status}"
            )
        return replace(
            self,
            status=TaskStatus.QUEUED,
            updated_at=now,
            queued_at=now,
            expires_at=None,
            enqueued_at=None,
            finished_at=None,
            start_by=None,
            predicted_seconds=None,
            attempts_left=attempts,
            event_pending_since=None,
            cancel_requested_at=None,
            failure=None,
            failed_images=(),
            previews=(),
            progress=self._first_progress(),
        )

    # ── the owner ────────────────────────────────────────────────────────────────────────────────────────

    def cancel_requested(self, now: datetime) -> "Task":
        """Processing: set the flag that the worker's heartbeat reads. Idempotent."""
        if self.status is not TaskStatus.PROCESSING:
            raise InvalidTransitionError(f"no worker holds this task; it is {self.status}")
        if self.cancel_requested_at is not None:
            return self
        return replace(self, cancel_requested_at=now, updated_at=now)

    def cancelled(self, now: datetime) -> "Task":
        """Queued → cancelled, before any worker has claimed the task."""
        if self.status is not TaskStatus.QUEUED:
            raise InvalidTransitionError(
                f"only a queued task can be cancelled at once; this is {self.status}"
            )
        return self._ended(TaskStatus.CANCELLED, now)

    def labelled(self, labels: Mapping[str, str], now: datetime) -> "Task":
        """Replace the labels, in any status."""
        return self if self.labels == labels else replace(self, labels=dict(labels), updated_at=now)

    # ── the worker ───────────────────────────────────────────────────────────────────────────────────────

    def claimed_by(
        self,
        worker_id: str,
        now: datetime,
        ttl: timedelta,
        *,
        silent: Claim | None = None,
        traceparent: str | None = None,
    ) -> "Task":
        """Claim the task: queued, or processing under a dead claim → processing.

        A claim is dead when it has expired, or when it is still `silent`: the claim that this worker has
        watched for so long without a renewal that its holder is presumed dead. If the holder is alive, its
        writes are fenced. A presumption is enough to start another attempt, but not to fail a task that has
        no attempts left.

        A claim uses one of `attempts_left` at once, so that crashes count. Raises ClaimHeldError while
        another claim is alive, AttemptsExhaustedError if no attempts are left.
        """
        self._must_not_be_terminal("claimed")
        unclaimed = self._without_dead_claim(now, silent=silent if self.attempts_left > 0 else None)
        if unclaimed.claim is not None:
            raise ClaimHeldError(unclaimed.claim)
        if self.attempts_left <= 0:
            raise AttemptsExhaustedError(f"all attempts of task {self.id!r} are used up")
        attempt = self.attempt + 1
        return replace(
            unclaimed,
            status=TaskStatus.PROCESSING,
            updated_at=now,
            enqueued_at=self.enqueued_at or now,  # the claiming worker has received a message
            started_at=self.started_at or now,
            attempt=attempt,
            attempts_left=self.attempts_left - 1,
            claim=Claim(
                worker_id=worker_id,
                attempt=attempt,
                expires_at=now + ttl,
                claimed_at=now,
                traceparent=traceparent,
            ),
            progress=self._first_progress(),
            previews=(),
        )

    def renewed(
        self,
        claim: Claim,
        now: datetime,
        ttl: timedelta,
        *,
        progress: Progress | None = None,
        previews: tuple[Preview, ...] | None = None,
        output: AttemptOutput = NO_OUTPUT,
    ) -> "Task":
        """Extend the claim by `ttl`, and store the progress and the output so far."""
        held = self._must_be_held(claim)
        kept = self._with_output(output)
        finished = {image.index for image in kept.images}
        previews = self.previews if previews is None else previews
        return replace(
            kept,
            updated_at=now,
            claim=replace(kept.claim or held, expires_at=now + ttl),
            progress=self.progress if progress is None else progress,
            previews=tuple(preview for preview in previews if preview.index not in finished),
        )

    def completed(
        self,
        claim: Claim,
        images: tuple[StoredImage, ...],
        now: datetime,
        *,
        failed_images: tuple[FailedImage, ...] = (),
        runs: tuple[RunSeconds, ...] = (),
        generating_since: datetime | None = None,
    ) -> "Task":
        """Processing → completed. The images must be in the bucket before this is written."""
        self._must_be_held(claim)
        output = AttemptOutput(
            images=images, failed_images=failed_images, runs=runs, generating_since=generating_since
        )
        return self._with_output(output)._completed(now)

    def released(
        self, claim: Claim, failure: Failure, now: datetime, *, output: AttemptOutput = NO_OUTPUT
    ) -> "Task":
        """Processing → queued after a failure that another attempt may avoid.

        The attempt is used up.
        """
        self._must_be_held(claim)
        if not failure.retryable:
            raise InvalidTransitionError("a permanent failure cannot be released; it is failed")
        if self.attempts_left <= 0:
            raise AttemptsExhaustedError(f"all attempts of task {self.id!r} are used up")
        return replace(self._with_output(output)._requeued(failure.code, now), failure=failure)

    def handed_back(self, claim: Claim, now: datetime, *, output: AttemptOutput = NO_OUTPUT) -> "Task":
        """Processing → queued after a shutdown or preemption. The attempt is given back."""
        self._must_be_held(claim)
        back = self._with_output(output)._requeued(Ending.HANDED_BACK, now)
        return replace(back, attempts_left=self.attempts_left + 1)

    def failed(
        self, claim: Claim, failure: Failure, now: datetime, *, output: AttemptOutput = NO_OUTPUT
    ) -> "Task":
        """Processing → failed; completed with `failed_images` if some images are finished."""
        self._must_be_held(claim)
        return self._with_output(output)._failed_or_partial(failure, now)

    def cancelled_by_holder(
        self, claim: Claim, now: datetime, *, output: AttemptOutput = NO_OUTPUT
    ) -> "Task":
        """Processing → cancelled, after the worker has read the flag. Finished images are kept."""
        self._must_be_held(claim)
        return self._with_output(output)._ended(TaskStatus.CANCELLED, now)

    # ── guards ───────────────────────────────────────────────────────────────────────────────────────────

    def _must_not_be_terminal(self, verb: str) -> None:
        if self.status.is_terminal:
            raise InvalidTransitionError(f"task {self.id!r} is {self.status} and cannot be {verb}")

    def _must_be_held(self, claim: Claim) -> Claim:
        self._must_not_be_terminal("changed by a worker")
        held = self.claim
        if held is None or not held.is_same_attempt_as(claim):
            raise ClaimLostError(
                f"attempt {claim.attempt} of {claim.worker_id!r} no longer holds task {self.id!r}"
            )
        return held
