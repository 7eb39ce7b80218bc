"""The verdict on one task, by its state, its age and the time when the queue was lost."""

from datetime import datetime, timedelta

import pytest

from common.domain.task import Task
from frontend_api.rescue.policy import RescuePolicy, Verdict
from frontend_api.tasks.final_events import with_event_pending
from tests.factories import NOW, claim_of, submitted_task

TTL = timedelta(seconds=60)
DAY = 86_400
POLICY = RescuePolicy()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def handed_back(task: Task) -> Task:
    return task.handed_back(claim_of(task), NOW).enqueued(NOW)


def completed(task: Task) -> Task:
    return task.completed(claim_of(task), (), NOW)


QUEUED = submitted_task(now=NOW)
CONFIRMED = QUEUED.enqueued(NOW)
URGENT = submitted_task(now=NOW, start_within=timedelta(seconds=10))
CLAIMED = QUEUED.claimed_by("worker", NOW, TTL)
SECOND_LAST_ATTEMPT = submitted_task(now=NOW, attempts=2).claimed_by("worker", NOW, TTL)
LAST_ATTEMPT = submitted_task(now=NOW, attempts=1).claimed_by("worker", NOW, TTL)
RETRIED = QUEUED.cancelled(at(10 * DAY)).resubmitted(at(10 * DAY))


@pytest.mark.parametrize(
    ("task", "seconds", "verdict"),
    [
        (QUEUED, 30, Verdict.NO_ACTION),  # its submission may still be in progress
        (QUEUED, 31, Verdict.NEVER_ENQUEUED),
        (CONFIRMED, 3_600, Verdict.NO_ACTION),
        (CONFIRMED, 3_601, Verdict.MESSAGE_LOST),
        (CONFIRMED, 14 * DAY + 1, Verdict.UNCLAIMED),
        (URGENT, 10, Verdict.NO_ACTION),
        (URGENT, 11, Verdict.DEADLINE_EXCEEDED),
        (handed_back(URGENT.claimed_by("worker", NOW, TTL)), 20, Verdict.NO_ACTION),
        (CLAIMED, 60, Verdict.NO_ACTION),
        (CLAIMED, 120, Verdict.NO_ACTION),  # Pub/Sub may redeliver its message
        (CLAIMED, 121, Verdict.CLAIM_EXPIRED),
        (CLAIMED.enqueued(at(121)), 200, Verdict.NO_ACTION),
        (CLAIMED, 14 * DAY + 61, Verdict.UNCLAIMED),
        (SECOND_LAST_ATTEMPT, 121, Verdict.CLAIM_EXPIRED),
        (LAST_ATTEMPT, 120, Verdict.NO_ACTION),
        (LAST_ATTEMPT, 121, Verdict.ATTEMPTS_EXHAUSTED),
        (RETRIED, 15 * DAY, Verdict.NEVER_ENQUEUED),
        (completed(CLAIMED), 15 * DAY, Verdict.NO_ACTION),
        (with_event_pending(QUEUED.cancelled(NOW)), 30, Verdict.NO_ACTION),
        (with_event_pending(QUEUED.cancelled(NOW)), 31, Verdict.EVENT_UNPUBLISHED),
    ],
)
def test_decide_returns_the_verdict(task: Task, seconds: int, verdict: Verdict) -> None:
    now = at(seconds)
    assert POLICY.decide(task, now=now, messages_lost_before=now - POLICY.deliver_within) is verdict


@pytest.mark.parametrize(
    ("task", "lost_at", "seconds", "verdict"),
    [
        (CONFIRMED, 1, 5, Verdict.MESSAGE_LOST),
        (CONFIRMED, 0, 5, Verdict.NO_ACTION),  # its message was confirmed afterwards
        (CLAIMED, 59, 59, Verdict.NO_ACTION),  # its worker is alive and needs no message
        (CLAIMED, 60, 60, Verdict.NO_ACTION),
        (CLAIMED, 59, 61, Verdict.CLAIM_EXPIRED),
        (CLAIMED.enqueued(at(61)), 59, 62, Verdict.NO_ACTION),
    ],
)
def test_decide_counts_messages_as_lost_when_the_queue_was_lost(
    task: Task, lost_at: int, seconds: int, verdict: Verdict
) -> None:
    assert POLICY.decide(task, now=at(seconds), messages_lost_before=at(lost_at)) is verdict
