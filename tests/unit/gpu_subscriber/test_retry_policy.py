"""The rules at the end of an attempt, one by one. What they lead to is in test_process_task."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Failure, Task, TaskStatus
from gpu_subscriber.engine_end import ENGINE_FAILURE_CODES
from gpu_subscriber.errors import GenerationFailedError, ObjectConflictError
from gpu_subscriber.ports import Settlement
from gpu_subscriber.retry_policy import (
    cancelled_or_handed_back,
    claimed_or_ended,
    failure_of,
    may_resume_after,
    needless_attempts,
    released_or_failed,
    settlement_of,
)
from tests.factories import NOW, submitted_task

TTL = timedelta(seconds=60)
TIRED = Failure(code="out_of_gpu_memory", message="too big", retryable=True)


def claimed(**changes: object) -> Task:
    return claimed_or_ended(submitted_task(**changes), "worker-a", NOW, TTL)


def test_only_terminal_tasks_are_acknowledged() -> None:
    assert settlement_of(submitted_task()) is Settlement.RETURN
    assert settlement_of(claimed()) is Settlement.RETURN
    assert settlement_of(submitted_task().cancelled(NOW)) is Settlement.ACKNOWLEDGE


@pytest.mark.parametrize(("attempts", "status"), [(2, TaskStatus.QUEUED), (1, TaskStatus.FAILED)])
def test_a_retryable_failure_is_retried_while_an_attempt_is_left(attempts: int, status: TaskStatus) -> None:
    task = claimed(attempts=attempts)
    assert task.claim is not None
    assert released_or_failed(task, task.claim, TIRED, NOW, wasted_gpu_seconds=1.0).status is status


def test_a_failed_attempt_of_a_cancelled_task_cancels_it() -> None:
    task = claimed().cancel_requested(NOW)
    assert task.claim is not None
    ended = released_or_failed(task, task.claim, TIRED, NOW, wasted_gpu_seconds=1.0)
    assert (ended.status, ended.failure) == (TaskStatus.CANCELLED, None)


@pytest.mark.parametrize(("can_go_on", "wasted"), [(True, 0.0), (False, 3.0)])
def test_what_a_checkpoint_keeps_is_not_wasted(can_go_on: bool, wasted: float) -> None:
    task = claimed()
    assert task.claim is not None
    back = cancelled_or_handed_back(task, task.claim, NOW, gpu_seconds=3.0, can_go_on=can_go_on)
    assert back.usage.wasted_gpu_seconds == wasted
    assert back.attempts_left == submitted_task().attempts_left


def test_what_a_cancelled_attempt_cost_is_wasted_all_the_same() -> None:
    task = claimed().cancel_requested(NOW)
    assert task.claim is not None
    ended = cancelled_or_handed_back(task, task.claim, NOW, gpu_seconds=3.0, can_go_on=True)
    assert (ended.status, ended.usage.wasted_gpu_seconds) == (TaskStatus.CANCELLED, 3.0)


@pytest.mark.parametrize("code", sorted(ENGINE_FAILURE_CODES))
def test_nobody_goes_on_from_a_checkpoint_after_a_crash_or_at_the_end(code: str) -> None:
    task = claimed()
    assert task.claim is not None
    crash = Failure(code=code, message="it ended", retryable=True)
    assert may_resume_after(task.released(task.claim, TIRED, NOW))
    assert not may_resume_after(task.released(task.claim, crash, NOW))
    assert not may_resume_after(task.failed(task.claim, TIRED, NOW))


def test_whose_images_nobody_needs_any_more() -> None:
    task = claimed_or_ended(claimed(), "worker-b", NOW + 2 * TTL, TTL)
    assert (task.attempt, task.claim is not None) == (2, True)
    assert task.claim is not None
    failed = task.failed(task.claim, TIRED, NOW)
    again = claimed_or_ended(failed.resubmitted(NOW), "worker-c", NOW, TTL)
    assert needless_attempts(task, task.completed(task.claim, (), NOW)) == 1
    assert needless_attempts(task, failed) == 2
    assert needless_attempts(task, task.released(task.claim, TIRED, NOW)) == 0
    assert needless_attempts(task, again) == 2  # and never those of attempt 3
    assert needless_attempts(task, None) == 2
    successor = replace(claimed(), created_at=NOW + TTL)  # deleted, and submitted anew under the same id
    assert needless_attempts(task, successor) == 2


def test_a_zombie_never_counts_the_winners_images_among_the_needless() -> None:
    zombies = claimed()
    winner = claimed_or_ended(zombies, "worker-b", NOW + 2 * TTL, TTL)
    assert winner.claim is not None
    assert needless_attempts(zombies, winner) == 1
    assert needless_attempts(zombies, winner.completed(winner.claim, (), NOW)) == 1


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (GenerationFailedError(TIRED), "out_of_gpu_memory", True),
        (DependencyUnavailableError("cloud_storage"), "dependency_unavailable", True),
        (ObjectConflictError("tasks/task-1/attempt-1/0.png"), "object_conflict", True),
    ],
)
def test_owners_learn_a_stable_code(error: GenerationFailedError, code: str, retryable: bool) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert "tasks/task-1" not in failure.message
