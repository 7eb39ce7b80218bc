"""Decides what rescue does with one task. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.failures import FailureCode
from common.domain.task import Failure, Task, TaskStatus
from common.shared_values import SHARED


class Verdict(StrEnum):
    """The action for a task and its reason; used in rescue's log line, metric and response."""

    NEVER_ENQUEUED = "never_enqueued"
    """Publish: the submission's message was never confirmed."""
    MESSAGE_LOST = "message_lost"
    """Publish: Pub/Sub confirmed a message, but no worker has taken it for too long."""
    CLAIM_EXPIRED = "claim_expired"
    """Publish: its worker is lost and Pub/Sub did not redeliver the message."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """Fail the task: its start deadline has passed."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    """Fail the task: the worker of its last attempt is lost."""
    UNCLAIMED = "unclaimed"
    """Fail the task: no worker has claimed it within the longest allowed wait."""
    EVENT_UNPUBLISHED = "event_unpublished"
    """Publish the final event: the task has finished, and its event was not confirmed."""
    NO_ACTION = "no_action"
    """Nothing to do, or not yet."""

    @property
    def publishes(self) -> bool:
        """Whether rescue publishes the task's message again."""
        return self in (Verdict.NEVER_ENQUEUED, Verdict.MESSAGE_LOST, Verdict.CLAIM_EXPIRED)

    @property
    def failure(self) -> Failure | None:
        """The failure of an abandoned task; None for other verdicts."""
        return _FAILURES.get(self)


_FAILURES = {
    Verdict.DEADLINE_EXCEEDED: FailureCode.DEADLINE_EXCEEDED.failure(),
    Verdict.ATTEMPTS_EXHAUSTED: FailureCode.ATTEMPTS_EXHAUSTED.failure(),
    Verdict.UNCLAIMED: FailureCode.UNCLAIMED.failure(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuePolicy:
    """Decides what rescue does with a task; the fields are the waiting times before it acts."""

    confirm_within: timedelta = timedelta(seconds=30)
    """A submission or a final event is confirmed within this time, or its process is dead."""
    deliver_within: timedelta = timedelta(hours=1)
    """A confirmed message that no worker takes for this long may be lost and is published again."""
    redeliver_within: timedelta = timedelta(seconds=60)
    """After a claim expires, Pub/Sub redelivers the message within this time, or never."""
    give_up_after: timedelta = timedelta(days=SHARED.retention.give_up_after_days)
    """Longest wait for a worker.

    It bounds the time to a terminal state, and so the age of a task's objects in the bucket.
    """
    page_size: int = 200
    max_pages: int = 10
    """Per kind and round; the next round starts with the oldest tasks again."""
    lock_ttl: timedelta = timedelta(seconds=60)
    """How long a rescue that died blocks others; a page takes seconds."""

    def decide(self, task: Task, *, now: datetime, messages_lost_before: datetime) -> Verdict:
        """Return the verdict on a stored task.

        Messages that Pub/Sub confirmed before `messages_lost_before` count as lost.
        """
        if task.event_pending_since is not None and task.status.is_terminal:
            waits = task.event_pending_since >= now - self.confirm_within
            return Verdict.NO_ACTION if waits else Verdict.EVENT_UNPUBLISHED
        if task.status is TaskStatus.QUEUED:
            return self._queued(task, now, messages_lost_before)
        if task.status is TaskStatus.PROCESSING and task.claim is not None:
            return self._claimed(task, task.claim.expires_at, now, messages_lost_before)
        return Verdict.NO_ACTION

    def _queued(self, task: Task, now: datetime, messages_lost_before: datetime) -> Verdict:
        if task.start_by is not None and task.start_by < now and task.started_at is None:
            return Verdict.DEADLINE_EXCEEDED
        if task.queued_at < now - self.give_up_after:
            return Verdict.UNCLAIMED
        if task.enqueued_at is None:
            waits = task.queued_at >= now - self.confirm_within
            return Verdict.NO_ACTION if waits else Verdict.NEVER_ENQUEUED
        return Verdict.MESSAGE_LOST if task.enqueued_at < messages_lost_before else Verdict.NO_ACTION

    def _claimed(
        self, task: Task, claim_expired_at: datetime, now: datetime, messages_lost_before: datetime
    ) -> Verdict:
        if claim_expired_at >= now:
            return Verdict.NO_ACTION
        if claim_expired_at < now - self.give_up_after:
            return Verdict.UNCLAIMED
        # A slow worker may still renew the claim, and Pub/Sub redelivers an existing message.
        may_recover = claim_expired_at + self.redeliver_within >= now
        if task.attempts_left <= 0:
            return Verdict.NO_ACTION if may_recover else Verdict.ATTEMPTS_EXHAUSTED
        # The task was claimed, so a message existed even if its confirmation was not stored.
        last_message = task.enqueued_at or task.queued_at
        if last_message < messages_lost_before:
            return Verdict.CLAIM_EXPIRED
        # Pub/Sub has yet to deliver a message that is newer than the claim's expiry.
        if may_recover or last_message >= claim_expired_at:
            return Verdict.NO_ACTION
        return Verdict.CLAIM_EXPIRED
