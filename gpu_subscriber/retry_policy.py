"""Which end an attempt comes to: pure rules, no I/O. What is acknowledged follows from what is stored alone."""

from dataclasses import replace
from datetime import datetime, timedelta

from common.domain.errors import AttemptsExhaustedError, DependencyUnavailableError
from common.domain.images import StoredImage
from common.domain.task import Claim, Failure, Task, TaskStatus
from gpu_subscriber.engine_end import ENGINE_FAILURE_CODES
from gpu_subscriber.errors import GenerationFailedError, WorkerError
from gpu_subscriber.ports import Settlement

DEADLINE_EXCEEDED = Failure(
    code="deadline_exceeded", message="No worker was free before the deadline that the request set."
)
ATTEMPT_TIMED_OUT = Failure(
    code="attempt_timed_out", message="The drawing took longer than an attempt may take.", retryable=True
)


def settlement_of(task: Task) -> Settlement:
    """The invariant behind every settlement: acknowledge only when the stored task is terminal (or gone)."""
    return Settlement.ACKNOWLEDGE if task.status.is_terminal else Settlement.RETURN


def claimed_or_ended(
    task: Task,
    worker_id: str,
    now: datetime,
    ttl: timedelta,
    *,
    silent: Claim | None = None,
    traceparent: str | None = None,
) -> Task:
    """Take the task, or end one that nobody may take any more. A terminal task comes back unchanged.

    Raises ClaimHeldError while another claim is alive; `silent` is one that is not, see `Task.claimed_by`.
    """
    if task.status.is_terminal:
        return task
    if task.started_at is None and task.start_by is not None and now > task.start_by:
        return task.abandoned(DEADLINE_EXCEEDED, now)
    try:
        claimed = task.claimed_by(worker_id, now, ttl, silent=silent, traceparent=traceparent)
    except AttemptsExhaustedError:
        return task.abandoned(_attempts_exhausted(task), now)
    if claimed.cancel_requested_at is not None and claimed.claim is not None:
        # The worker that should have seen the flag died or handed the task back first.
        return claimed.cancelled_by_holder(claimed.claim, now)
    return claimed


def completed(
    task: Task,
    claim: Claim,
    images: tuple[StoredImage, ...],
    now: datetime,
    *,
    began_at: datetime,
    gpu_seconds: float,
) -> Task:
    """After the last image is stored: completed, with what it cost. `began_at` is when this attempt claimed."""
    usage = replace(task.usage, inference_seconds=(now - began_at).total_seconds(), gpu_seconds=gpu_seconds)
    return task.completed(claim, images, now, usage=usage)


def released_or_failed(
    task: Task, claim: Claim, failure: Failure, now: datetime, *, wasted_gpu_seconds: float
) -> Task:
    """After a failure: another attempt if one may help and one is left, the end otherwise."""
    if task.cancel_requested_at is not None:
        return task.cancelled_by_holder(claim, now, wasted_gpu_seconds=wasted_gpu_seconds)
    if failure.retryable and task.attempts_left > 0:
        return task.released(claim, failure, now, wasted_gpu_seconds=wasted_gpu_seconds)
    return task.failed(claim, failure, now, wasted_gpu_seconds=wasted_gpu_seconds)


def cancelled_or_handed_back(
    task: Task, claim: Claim, now: datetime, *, gpu_seconds: float, can_go_on: bool
) -> Task:
    """After an interruption: cancelled if its owner asked for that, else back to the queue with its attempt.

    What was drawn is not wasted when the next attempt `can_go_on` from a checkpoint.
    """
    if task.cancel_requested_at is not None:
        return task.cancelled_by_holder(claim, now, wasted_gpu_seconds=gpu_seconds)
    return task.handed_back(claim, now, wasted_gpu_seconds=0.0 if can_go_on else gpu_seconds)


def may_resume_after(task: Task) -> bool:
    """Whether the checkpoints of an attempt that ended like this are of use to the next one.

    Not after a crash: the checkpoint may be what crashes the engine.
    """
    crashed = task.failure is not None and task.failure.code in ENGINE_FAILURE_CODES
    return not task.status.is_terminal and not crashed


def needless_attempts(task: Task, stored: Task | None) -> int:
    """Up to which attempt nobody needs the images any more, once this one is over; 0 when they may be needed.

    `task` as the attempt knew it. Never beyond its attempt: its heirs may be storing theirs already. Only a completed
    task refers to images, and only to those of its own last attempt.
    """
    if stored is None or stored.folder != task.folder or stored.attempt > task.attempt:
        return task.attempt
    if not stored.status.is_terminal:
        return 0
    return stored.attempt - 1 if stored.status is TaskStatus.COMPLETED else stored.attempt


def failure_of(error: WorkerError | DependencyUnavailableError) -> Failure:
    """What a task's owner is told of an error that ended an attempt."""
    if isinstance(error, GenerationFailedError):
        return error.failure
    if isinstance(error, DependencyUnavailableError):
        return Failure(code=error.code, message=f"The {error.dependency} did not answer.", retryable=True)
    return Failure(code=error.code, message="The worker could not finish this attempt.", retryable=True)


def _attempts_exhausted(task: Task) -> Failure:
    last = "" if task.failure is None else f" The last failure was {task.failure.code}."
    return Failure(
        code=AttemptsExhaustedError.code,
        message=f"All attempts were used up; the latest was number {task.attempt}.{last}",
    )
