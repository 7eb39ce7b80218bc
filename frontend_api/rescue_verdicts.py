"""Decides what rescue does with one task. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.task import Failure, Task, TaskStatus


class Verdict(StrEnum):
    """What to do with a task and why; used in rescue's log line, metric and response."""

    NEVER_ENQUEUED = "never_enqueued"
    """Publish: the submission's message was never confirmed."""
    MESSAGE_LOST = "message_lost"
    """Publish: Pub/Sub confirmed a message, but no worker has taken it for too long."""
    CLAIM_DEAD = "claim_dead"
    """Publish: its worker is lost and the delivery did not return."""
    OVERDUE = "overdue"
    """Abandon: its start deadline has passed."""
    USED_UP = "used_up"
    """Abandon: the worker of its last attempt is lost."""
    UNCLAIMED = "unclaimed"
    """Abandon: no worker has taken it within the longest allowed wait."""
    UNTOLD = "untold"
    """Publish the final event: the task has finished, and its event was not confirmed."""
    LEFT = "left"
    """Nothing to do, or not yet."""

    @property
    def publishes(self) -> bool:
        """Whether a message must be sent."""
        return self in (Verdict.NEVER_ENQUEUED, Verdict.MESSAGE_LOST, Verdict.CLAIM_DEAD)

    @property
    def failure(self) -> Failure | None:
        """The failure of an abandoned task; None for other verdicts."""
        return _FAILURES.get(self)


_FAILURES = {
    Verdict.OVERDUE: Failure(
        code="deadline_exceeded",
        message="No worker could start before the deadline that was set.",
        retryable=True,
    ),
    Verdict.USED_UP: Failure(
        code="attempts_exhausted", message="Every attempt ended with its worker lost.", retryable=True
    ),
    Verdict.UNCLAIMED: Failure(
        code="unclaimed", message="No worker has taken it for too long.", retryable=True
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuePolicy:
    """Waiting times before rescue intervenes."""

    confirm_within: timedelta = timedelta(seconds=30)
    """A submission or a final event is confirmed within this time, or its process is dead."""
    deliver_within: timedelta = timedelta(hours=1)
    """A confirmed message that no worker takes for this long may be lost and is published again."""
    redeliver_within: timedelta = timedelta(seconds=60)
    """After a claim expires, Pub/Sub redelivers the message within this time, or never."""
    give_up_after: timedelta = timedelta(days=14)
    """Longest wait for a worker.

    It bounds the time to a terminal state, so that a maximum age of objects in the bucket can be
    set.
    """
    page_size: int = 200
    max_pages: int = 10
    """Per kind and round; the next round starts with the oldest tasks again."""
    turn_ttl: timedelta = timedelta(seconds=60)
    """How long a rescue that died blocks others; a page takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Decides as of one moment; messages confirmed before `messages_lost_before` count as lost."""

    policy: RescuePolicy
    now: datetime
    messages_lost_before: datetime

    def verdict(self, task: Task) -> Verdict:
        """Return what to do with a stored task."""
        if task.untold_since is not None:
            waits = task.untold_since >= self.now - self.policy.confirm_within
            return Verdict.LEFT if waits else Verdict.UNTOLD
        if task.status is TaskStatus.QUEUED:
            return self._on_queued(task)
        if task.status is TaskStatus.PROCESSING and task.claim is not None:
            return self._on_claimed(task, task.claim.expires_at)
        return Verdict.LEFT

    def _on_queued(self, task: Task) -> Verdict:
        if task.start_by is not None and task.start_by < self.now and task.started_at is None:
            return Verdict.OVERDUE
        if task.queued_at < self.now - self.policy.give_up_after:
            return Verdict.UNCLAIMED
        if task.enqueued_at is None:
            waits = task.queued_at >= self.now - self.policy.confirm_within
            return Verdict.LEFT if waits else Verdict.NEVER_ENQUEUED
        return Verdict.MESSAGE_LOST if task.enqueued_at < self.messages_lost_before else Verdict.LEFT

    def _on_claimed(self, task: Task, claim_ended: datetime) -> Verdict:
        if claim_ended >= self.now:
            return Verdict.LEFT
        if claim_ended < self.now - self.policy.give_up_after:
            return Verdict.UNCLAIMED
        # A slow worker may still renew the claim, and Pub/Sub redelivers an existing message.
        patient = claim_ended + self.policy.redeliver_within >= self.now
        if task.attempts_left <= 0:
            return Verdict.LEFT if patient else Verdict.USED_UP
        # The task was claimed, so a message existed even if its confirmation was not stored.
        last_message = task.enqueued_at or task.queued_at
        if last_message < self.messages_lost_before:
            return Verdict.CLAIM_DEAD
        # A message that is newer than the claim's expiry is still to be delivered.
        return Verdict.LEFT if patient or last_message >= claim_ended else Verdict.CLAIM_DEAD
