"""Every transition of a task, allowed and refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.domain.errors import (
    AttemptsExhaustedError,
    ClaimHeldError,
    ClaimLostError,
    InvalidTransitionError,
)
from common.domain.images import Preview, StoredImage
from common.domain.task import Claim, Failure, Phase, Progress, RunSeconds, Task, TaskStatus, Usage
from common.domain.task_records import MAX_HISTORY, AttemptOutput, PastAttempt
from tests.factories import NOW, claim_of, spent, submitted_task

TTL = timedelta(seconds=60)
LATER = NOW + timedelta(seconds=5)
BROKEN = Failure(code="engine_crashed", message="the engine process died", retryable=True)
HOPELESS = Failure(code="invalid_output", message="the image is not finite", retryable=False)
IMAGE = StoredImage(
    index=0,
    object_name="tasks/task-1/attempt-1/0.png",
    width=256,
    height=256,
    seed=12_345,
    content_type="image/png",
    size_bytes=10,
    sha256="ab" * 32,
)


def processing_task(**changes: object) -> tuple[Task, Claim]:
    task = submitted_task(**changes).claimed_by("worker-1", NOW, TTL)
    assert task.claim is not None
    return task, task.claim


def terminal_tasks() -> list[Task]:
    task, claim = processing_task()
    return [
        task.completed(claim, (IMAGE,), LATER),
        task.failed(claim, HOPELESS, LATER),
        task.cancelled_by_holder(claim, LATER),
        submitted_task().cancelled(LATER),
        submitted_task().abandoned(HOPELESS, LATER),
    ]


def test_submitted_task_is_queued() -> None:
    task = submitted_task(start_within=timedelta(seconds=30))
    assert task.status is TaskStatus.QUEUED
    assert (task.attempt, task.attempts_left, task.enqueued_at, task.claim) == (0, 4, None, None)
    assert task.start_by == NOW + timedelta(seconds=30)
    assert task.progress == Progress(phase=Phase.WAITING, steps=task.parameters.steps)


def test_claim_uses_an_attempt_immediately() -> None:
    task, claim = processing_task()
    assert (task.status, task.attempt, task.attempts_left) == (TaskStatus.PROCESSING, 1, 3)
    assert claim == Claim(worker_id="worker-1", attempt=1, expires_at=NOW + TTL, claimed_at=NOW)
    assert task.started_at == NOW


def test_claim_fails_while_another_claim_is_alive() -> None:
    task, claim = processing_task()
    for worker in ("worker-2", "worker-1"):
        with pytest.raises(ClaimHeldError) as refused:
            task.claimed_by(worker, claim.expires_at - timedelta(seconds=1), TTL)
        assert refused.value.claim == claim


def test_expired_claim_is_taken_over_and_started_at_kept() -> None:
    task, claim = processing_task()
    taken = task.claimed_by("worker-2", claim.expires_at, TTL)
    assert (taken.attempt, taken.attempts_left, taken.started_at) == (2, 2, NOW)
    with pytest.raises(ClaimLostError):
        taken.completed(claim, (IMAGE,), LATER)


def test_silent_claim_is_taken_over_before_it_expires() -> None:
    task, claim = processing_task()
    taken = task.claimed_by("worker-2", LATER, TTL, silent=claim)
    assert (taken.attempt, taken.attempts_left) == (2, 2)
    assert taken.history == ended("holder_silent")
    with pytest.raises(ClaimLostError):
        taken.renewed(claim, LATER, TTL)


def test_renewed_claim_is_not_silent() -> None:
    task, claim = processing_task()
    with pytest.raises(ClaimHeldError):
        task.renewed(claim, LATER, TTL).claimed_by("worker-2", LATER, TTL, silent=claim)


def test_last_attempts_claim_holds_until_it_expires() -> None:
    task, claim = processing_task(attempts=1)
    with pytest.raises(ClaimHeldError):
        task.claimed_by("worker-2", LATER, TTL, silent=claim)
    with pytest.raises(AttemptsExhaustedError):
        task.claimed_by("worker-2", claim.expires_at, TTL, silent=claim)


def test_abandoned_task_is_cancelled_when_cancel_was_requested() -> None:
    """Its worker died before it read the flag, and no attempt is left to read it."""
    task, claim = processing_task(attempts=1)
    gone = task.cancel_requested(NOW).abandoned(HOPELESS, claim.expires_at)
    assert (gone.status, gone.failure, gone.finished_at) == (TaskStatus.CANCELLED, None, claim.expires_at)
    assert gone.history == ended("claim_expired", at=claim.expires_at)


def test_renewal_extends_the_claim_and_stores_progress() -> None:
    task, claim = processing_task()
    progress = Progress(phase=Phase.DENOISING, step=7, steps=20, value=0.35)
    preview = Preview(index=0, step=7, jpeg=b"jpeg")
    renewed = task.renewed(claim, LATER, TTL, progress=progress, previews=(preview,))
    assert renewed.claim == replace(claim, expires_at=LATER + TTL)
    assert (renewed.progress, renewed.previews) == (progress, (preview,))
    again = renewed.renewed(claim, LATER, TTL)
    assert (again.progress, again.previews) == (progress, (preview,))


def test_inference_time_excludes_the_wait_inside_the_worker() -> None:
    task, claim = processing_task()
    began = LATER - timedelta(seconds=2)
    waiting = task.renewed(claim, LATER, TTL)
    assert claim_of(waiting).generating_since is None
    started = waiting.renewed(claim, LATER, TTL, output=AttemptOutput(generating_since=began))
    assert claim_of(started.renewed(claim, LATER, TTL)).generating_since == began
    assert started.completed(claim, (IMAGE,), LATER).usage.inference_seconds == 2.0
    at_once = task.completed(claim, (IMAGE,), LATER, generating_since=began)
    assert at_once.usage.inference_seconds == 2.0


def test_completion_keeps_images_and_drops_previews() -> None:
    task, claim = processing_task()
    task = task.renewed(claim, LATER, TTL, previews=(Preview(index=0, step=1, jpeg=b"jpeg"),))
    done = task.completed(claim, (IMAGE,), LATER, runs=(RunSeconds(index=0, gpu_seconds=0.5),))
    assert done.usage == Usage(inference_seconds=5.0, gpu_seconds=0.5)
    assert (done.status, done.images, done.previews, done.claim) == (TaskStatus.COMPLETED, (IMAGE,), (), None)
    assert (done.progress.phase, done.progress.value, done.finished_at) == (Phase.DONE, 1.0, LATER)


def test_release_queues_the_task_without_its_attempt() -> None:
    task, claim = processing_task()
    released = task.released(claim, BROKEN, LATER, output=spent(2.5))
    assert (released.status, released.failure) == (TaskStatus.QUEUED, BROKEN)
    assert (released.attempt, released.attempts_left) == (1, 3)
    assert released.usage == Usage(open_runs=(RunSeconds(index=0, gpu_seconds=2.5),))
    assert released.history[-1].gpu_seconds == 2.5


def test_release_fails_for_permanent_failure_or_last_attempt() -> None:
    task, claim = processing_task(attempts=1)
    with pytest.raises(AttemptsExhaustedError):
        task.released(claim, BROKEN, LATER)
    with pytest.raises(InvalidTransitionError):
        task.released(claim, HOPELESS, LATER)


def test_hand_back_restores_the_attempt_but_not_its_number() -> None:
    task, claim = processing_task()
    back = task.handed_back(claim, LATER)
    assert (back.status, back.attempt, back.attempts_left, back.claim) == (TaskStatus.QUEUED, 1, 4, None)
    assert back.claimed_by("worker-2", LATER, TTL).attempt == 2


def test_cancel_ends_a_queued_task_and_flags_a_processing_one() -> None:
    assert submitted_task().cancelled(LATER).status is TaskStatus.CANCELLED
    task, claim = processing_task()
    asked = task.cancel_requested(LATER)
    assert (asked.status, asked.cancel_requested_at) == (TaskStatus.PROCESSING, LATER)
    assert asked.cancel_requested(LATER + TTL) is asked
    assert asked.cancelled_by_holder(claim, LATER).status is TaskStatus.CANCELLED
    with pytest.raises(InvalidTransitionError):
        task.cancelled(LATER)
    with pytest.raises(InvalidTransitionError):
        submitted_task().cancel_requested(LATER)


def test_retry_restores_attempts_and_keeps_the_attempt_number() -> None:
    task, claim = processing_task()
    failed = task.failed(claim, HOPELESS, LATER)
    again = failed.enqueued(LATER).resubmitted(LATER)
    assert (again.status, again.attempt, again.attempts_left) == (TaskStatus.QUEUED, 1, 4)
    assert (again.failure, again.finished_at, again.enqueued_at, again.cancel_requested_at) == (None,) * 4
    with pytest.raises(InvalidTransitionError):
        submitted_task().resubmitted(LATER)
    with pytest.raises(InvalidTransitionError):
        task.completed(claim, (IMAGE,), LATER).resubmitted(LATER)


def test_expiry_is_set_at_the_end_and_cleared_by_retry() -> None:
    keep_for = timedelta(days=3)
    task, claim = processing_task(keep_for=keep_for)
    for alive in (
        submitted_task(keep_for=keep_for).enqueued(LATER),
        task.renewed(claim, LATER, TTL),
        task.cancel_requested(LATER),
        task.released(claim, BROKEN, LATER),
        task.handed_back(claim, LATER),
    ):
        assert alive.expires_at is None
    for ended in (
        task.completed(claim, (IMAGE,), LATER),
        task.failed(claim, HOPELESS, LATER),
        task.cancelled_by_holder(claim, LATER),
        task.abandoned(HOPELESS, LATER),
        submitted_task(keep_for=keep_for).cancelled(LATER),
    ):
        assert ended.expires_at == LATER + keep_for
        if ended.status is not TaskStatus.COMPLETED:
            assert ended.resubmitted(LATER).expires_at is None


def test_queued_since_follows_the_latest_queueing() -> None:
    task, claim = processing_task()
    assert (task.queued_at, task.enqueued(LATER).queued_at) == (NOW, NOW)
    ended = task.failed(claim, HOPELESS, NOW)
    for waiting in (
        task.released(claim, BROKEN, LATER),
        task.handed_back(claim, LATER),
        ended.resubmitted(LATER),
    ):
        assert waiting.queued_at == LATER


def ended(ending: str, *, at: datetime = LATER) -> tuple[PastAttempt, ...]:
    return (
        PastAttempt(
            attempt=1, worker_id="worker-1", ending=ending, started_at=NOW, ended_at=at, gpu_seconds=0.0
        ),
    )


def test_history_records_the_end_of_each_attempt() -> None:
    task, claim = processing_task()
    assert task.history == ()
    assert task.renewed(claim, LATER, TTL).history == ()
    assert task.completed(claim, (IMAGE,), LATER).history == ended("completed")
    assert task.released(claim, BROKEN, LATER).history == ended("engine_crashed")
    assert task.handed_back(claim, LATER).history == ended("handed_back")
    assert task.failed(claim, HOPELESS, LATER).history == ended("invalid_output")
    assert task.cancelled_by_holder(claim, LATER).history == ended("cancelled")
    assert task.abandoned(HOPELESS, LATER).history == ended("invalid_output")


def test_expired_attempt_ends_at_its_claims_expiry() -> None:
    task, claim = processing_task()
    died = ended("claim_expired", at=claim.expires_at)
    assert task.claimed_by("worker-2", NOW + 5 * TTL, TTL).history == died
    assert task.abandoned(HOPELESS, NOW + 5 * TTL).history == died


def test_late_holder_ends_its_own_attempt_when_not_replaced() -> None:
    task, claim = processing_task()
    assert task.completed(claim, (IMAGE,), NOW + 2 * TTL).history == ended("completed", at=NOW + 2 * TTL)


def test_history_is_unchanged_by_unclaimed_ends_and_retries() -> None:
    assert submitted_task().cancelled(LATER).history == ()
    assert submitted_task().abandoned(HOPELESS, LATER).history == ()
    task, claim = processing_task()
    failed = task.failed(claim, HOPELESS, LATER)
    assert failed.resubmitted(LATER).history == failed.history


def test_history_keeps_the_latest_attempts() -> None:
    task = submitted_task()
    for _ in range(MAX_HISTORY + 5):
        task = task.claimed_by("worker-1", NOW, TTL)
        assert task.claim is not None
        task = task.handed_back(task.claim, LATER)
    assert [attempt.attempt for attempt in task.history] == list(range(6, MAX_HISTORY + 6))


STALE = Claim(worker_id="worker-1", attempt=1, expires_at=NOW)
WRITES: list[Callable[[Task], Task]] = [
    lambda task: task.claimed_by("worker-2", LATER, TTL),
    lambda task: task.renewed(STALE, LATER, TTL),
    lambda task: task.completed(STALE, (IMAGE,), LATER),
    lambda task: task.released(STALE, BROKEN, LATER),
    lambda task: task.handed_back(STALE, LATER),
    lambda task: task.failed(STALE, HOPELESS, LATER),
    lambda task: task.cancelled(LATER),
    lambda task: task.cancel_requested(LATER),
    lambda task: task.cancelled_by_holder(STALE, LATER),
    lambda task: task.abandoned(HOPELESS, LATER),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("ended", terminal_tasks())
def test_terminal_task_ignores_every_write(ended: Task, write: Callable[[Task], Task]) -> None:
    with pytest.raises(InvalidTransitionError):
        write(ended)


def test_enqueued_is_recorded_in_any_status() -> None:
    for task in [submitted_task(), processing_task()[0], *terminal_tasks()]:
        noted = task.enqueued(LATER)
        assert (noted.enqueued_at, noted.status) == (LATER, task.status)


@given(st.lists(st.sampled_from(["crash", "hand_back", "release"]), max_size=12))
def test_attempt_numbers_grow_and_crashes_are_bounded(story: list[str]) -> None:
    task, now, seen, spent = submitted_task(), NOW, [], 0
    for event in story:
        now += TTL + timedelta(seconds=1)
        try:
            task = task.claimed_by("worker", now, TTL)
        except AttemptsExhaustedError:
            assert spent == 4
            return
        assert task.claim is not None
        claim = task.claim
        seen.append(task.attempt)
        spent += event != "hand_back"
        if event == "hand_back":
            task = task.handed_back(claim, now)
        elif event == "release" and task.attempts_left:
            task = task.released(claim, BROKEN, now)
    assert seen == sorted(set(seen))
    assert task.attempts_left == 4 - spent
