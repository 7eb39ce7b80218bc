"""How an attempt ends: pure rules, no I/O. The settlement depends on the stored task only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from common.domain.errors import AttemptsExhaustedError, DependencyUnavailableError
from common.domain.failures import FailureCode
from common.domain.task import AttemptOutput, Claim, FailedImage, Failure, Task
from gpu_subscriber.engine_host.exit import ENGINE_FAILURE_CODES
from gpu_subscriber.errors import GenerationFailedError, ObjectConflictError
from gpu_subscriber.ports import Settlement


def settlement_of(task: Task) -> Settlement:
    """Return the settlement: acknowledge only if the stored task is terminal (or was deleted)."""
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
    """Claim the task, or end one that may not be claimed again. A terminal task is not changed.

    Raises ClaimHeldError while another claim is alive; for `silent` see `Task.claimed_by`.
    """
    if task.status.is_terminal:
        return task
    if task.started_at is None and task.start_by is not None and now > task.start_by:
        return task.abandoned(FailureCode.DEADLINE_EXCEEDED.failure(), now)
    try:
        claimed = task.claimed_by(worker_id, now, ttl, silent=silent, traceparent=traceparent)
    except AttemptsExhaustedError:
        return task.abandoned(FailureCode.ATTEMPTS_EXHAUSTED.failure(), now)
    if claimed.cancel_requested_at is not None and claimed.claim is not None:
        # The worker that should have read the flag died or handed the task back before.
        return claimed.cancelled_by_holder(claimed.claim, now)
    return claimed


def finished(
    task: Task, claim: Claim, now: datetime, *, output: AttemptOutput, failures: Mapping[int, Failure]
) -> Task:
    """Return the task after all runs have ended by themselves; `failures` by image index.

    Another attempt follows if it may help an image and attempts are left; it generates only the
    missing images. Otherwise the finished images are kept, and the task fails only if there are
    none.
    """
    retryable = next((failure for _, failure in sorted(failures.items()) if failure.retryable), None)
    if retryable is not None and task.cancel_requested_at is not None:
        return task.cancelled_by_holder(claim, now, output=output)
    if retryable is not None and task.attempts_left > 0:
        return task.released(claim, retryable, now, output=output)
    failed = {image.index: image for image in (*task.failed_images, *output.failed_images)}
    failed |= {index: failed_image(index, failure) for index, failure in failures.items()}
    if failed and not (task.images or output.images):
        index, first = min(failed.items())
        failure = failures.get(index, Failure(code=first.code, message=first.message))
        return task.failed(claim, failure, now, output=replace(output, failed_images=tuple(failed.values())))
    return task.completed(
        claim,
        output.images,
        now,
        failed_images=tuple(failed.values()),
        runs=output.runs,
        generating_since=output.generating_since,
    )


def failed_image(index: int, failure: Failure) -> FailedImage:
    """Return the record of an image that no attempt can generate."""
    return FailedImage(index=index, code=failure.code, message=failure.message)


def released_or_failed(
    task: Task, claim: Claim, failure: Failure, now: datetime, *, output: AttemptOutput
) -> Task:
    """Return the task after a failure of the whole attempt.

    It is queued if another attempt may help and one is left, else failed.
    """
    if task.cancel_requested_at is not None:
        return task.cancelled_by_holder(claim, now, output=output)
    if failure.retryable and task.attempts_left > 0:
        return task.released(claim, failure, now, output=output)
    return task.failed(claim, failure, now, output=output)


def cancelled_or_handed_back(task: Task, claim: Claim, now: datetime, *, output: AttemptOutput) -> Task:
    """Return the task after an interruption: cancelled if its owner requested that, else queued.

    A task that is handed back gets its attempt back.
    """
    if task.cancel_requested_at is not None:
        return task.cancelled_by_holder(claim, now, output=output)
    return task.handed_back(claim, now, output=output)


def may_resume_after(task: Task) -> bool:
    """Return whether the next attempt may use the checkpoints of one that ended like this.

    Not after a crash, which the checkpoint may have caused. The failure of a task that was handed
    back is that of an earlier attempt, whose checkpoints were deleted.
    """
    crashed = bool(task.history) and task.history[-1].ending in ENGINE_FAILURE_CODES
    return not task.status.is_terminal and not crashed


def failure_of(error: GenerationFailedError | ObjectConflictError | DependencyUnavailableError) -> Failure:
    """Convert an error that ended an attempt to the failure that the owner sees."""
    match error:
        case GenerationFailedError():
            return error.failure
        case ObjectConflictError():
            return FailureCode.OBJECT_CONFLICT.failure()
        case DependencyUnavailableError():
            return FailureCode.DEPENDENCY_UNAVAILABLE.failure(error.dependency)
