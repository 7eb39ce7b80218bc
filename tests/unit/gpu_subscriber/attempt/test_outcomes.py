"""The rules at the end of an attempt, one by one. Their effects are in test_process_task."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.failures import FailureCode
from common.domain.task import (
    AttemptOutput,
    Claim,
    FailedImage,
    Failure,
    Task,
    TaskStatus,
    Usage,
)
from common.domain.task_records import NO_OUTPUT
from gpu_subscriber.attempt.outcomes import (
    cancelled_or_handed_back,
    claimed_or_ended,
    failed_image,
    failure_of,
    finished,
    may_resume_after,
    released_or_failed,
)
from gpu_subscriber.engine_host.exit import ENGINE_FAILURE_CODES
from gpu_subscriber.errors import GenerationFailedError, ObjectConflictError
from gpu_subscriber.images.storage import removable_attempts
from tests.factories import NOW, parameters, spent, stored_image, submitted_task

TTL = timedelta(seconds=60)
TIRED = Failure(code="out_of_gpu_memory", message="too big", retryable=True)


def claimed(**changes: object) -> tuple[Task, Claim]:
    task = claimed_or_ended(submitted_task(**changes), "worker-a", NOW, TTL)
    assert task.claim is not None
    return task, task.claim


def test_failed_attempt_cancels_the_task_when_cancel_was_requested() -> None:
    task, claim = claimed()
    task = task.cancel_requested(NOW)
    ended = released_or_failed(task, claim, TIRED, NOW, output=NO_OUTPUT)
    assert (ended.status, ended.failure) == (TaskStatus.CANCELLED, None)


def test_handed_back_run_without_device_time_leaves_no_open_seconds() -> None:
    task, claim = claimed()
    assert cancelled_or_handed_back(task, claim, NOW, output=spent(0.0)).usage == Usage()


def two_of_three(**changes: object) -> tuple[Task, Claim, AttemptOutput]:
    """Return a claimed task of three images, and its first two finished."""
    task, claim = claimed(parameters=parameters(num_images=3), **changes)
    return task, claim, AttemptOutput(images=tuple(stored_image(task, index) for index in (0, 1)))


REFUSED = Failure(code="content_filtered", message="refused")


@pytest.mark.parametrize("failure", [REFUSED, TIRED])
def test_finished_images_are_kept_when_another_fails_permanently(failure: Failure) -> None:
    task, claim, output = two_of_three(attempts=1)
    ended = finished(task, claim, NOW, output=output, failures={2: failure})
    assert (ended.status, ended.failure) == (TaskStatus.COMPLETED, None)
    assert [image.index for image in ended.images] == [0, 1]
    assert ended.failed_images == (FailedImage(index=2, code=failure.code, message=failure.message),)


def test_retryable_image_failure_releases_the_task_with_its_images() -> None:
    task, claim, output = two_of_three()
    released = finished(task, claim, NOW, output=output, failures={2: TIRED})
    assert (released.status, released.failure) == (TaskStatus.QUEUED, TIRED)
    assert (released.missing_images, released.failed_images) == ((2,), ())


def test_permanently_failed_image_is_not_generated_again() -> None:
    task, claim, output = two_of_three()
    first = AttemptOutput(images=output.images[:1])
    permanent = replace(first, failed_images=(failed_image(1, REFUSED),))
    released = finished(task, claim, NOW, output=permanent, failures={1: REFUSED, 2: TIRED})
    assert (released.status, released.missing_images) == (TaskStatus.QUEUED, (2,))


def test_task_without_images_fails_with_the_first_reason() -> None:
    task, claim, _ = two_of_three()
    ended = finished(task, claim, NOW, output=NO_OUTPUT, failures={2: REFUSED, 0: REFUSED, 1: REFUSED})
    assert (ended.status, ended.failure) == (TaskStatus.FAILED, REFUSED)
    assert [image.index for image in ended.failed_images] == [0, 1, 2]


@pytest.mark.parametrize("code", sorted(ENGINE_FAILURE_CODES))
def test_checkpoints_are_not_used_after_a_crash_or_at_the_end(code: str) -> None:
    task, claim = claimed()
    crash = Failure(code=code, message="it ended", retryable=True)
    assert may_resume_after(task.released(claim, TIRED, NOW))
    assert not may_resume_after(task.released(claim, crash, NOW))
    assert not may_resume_after(task.failed(claim, TIRED, NOW))


def test_checkpoints_of_an_attempt_after_a_crash_are_used_when_it_is_handed_back() -> None:
    """Otherwise a task that once ended an engine loses its progress at each preemption."""
    task, claim = claimed()
    crashed = task.released(claim, FailureCode.ENGINE_CRASHED.failure("SIGKILL"), NOW)
    again = claimed_or_ended(crashed, "worker-b", NOW, TTL)
    assert again.claim is not None
    back = again.handed_back(again.claim, NOW)
    assert may_resume_after(back)
    assert back.failure == crashed.failure, "its next attempt still runs alone"


def test_removable_attempts_follow_the_stored_task() -> None:
    task = claimed_or_ended(claimed()[0], "worker-b", NOW + 2 * TTL, TTL)
    assert task.attempt == 2
    assert task.claim is not None
    failed = task.failed(task.claim, TIRED, NOW)
    again = claimed_or_ended(failed.resubmitted(NOW), "worker-c", NOW, TTL)
    assert removable_attempts(task, task.completed(task.claim, (), NOW)) == 1
    assert removable_attempts(task, failed) == 2
    refused = (failed_image(0, REFUSED),)
    assert removable_attempts(task, task.completed(task.claim, (), NOW, failed_images=refused)) == 2
    assert removable_attempts(task, task.released(task.claim, TIRED, NOW)) == 0
    assert removable_attempts(task, again) == 2  # and never the objects of attempt 3


def test_removable_attempts_exclude_the_winners_images() -> None:
    zombies, _ = claimed()
    winner = claimed_or_ended(zombies, "worker-b", NOW + 2 * TTL, TTL)
    assert winner.claim is not None
    assert removable_attempts(zombies, winner) == 1
    assert removable_attempts(zombies, winner.completed(winner.claim, (), NOW)) == 1


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (GenerationFailedError(TIRED), "out_of_gpu_memory", True),
        (DependencyUnavailableError("storage"), "dependency_unavailable", True),
        (ObjectConflictError("tasks/task-1/attempt-1/0.png"), "object_conflict", True),
    ],
)
def test_failure_has_a_stable_code(error: GenerationFailedError, code: str, retryable: bool) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert "tasks/task-1" not in failure.message
