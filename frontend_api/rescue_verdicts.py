"""What rescue decides about one task, and from when on. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.task import Failure, Task, TaskStatus


class Verdict(StrEnum):
    """What to do about a task and why, in the words of rescue's log line, metric and answer."""

    NEVER_ENQUEUED = "never_enqueued"
    """Publish: its submission was never confirmed."""
    MESSAGE_LOST = "message_lost"
    """Publish: Pub/Sub confirmed a message, and for too long no worker took it."""
    CLAIM_DEAD = "claim_dead"
    """Publish: its worker is lost and the delivery did not come back."""
    OVERDUE = "overdue"
    """Give up: it was to be started by now."""
    USED_UP = "used_up"
    """Give up: the worker of its last attempt is lost."""
    UNCLAIMED = "unclaimed"
    """Give up: no worker has taken it for longer than anything waits here."""
    UNTOLD = "untold"
    """Tell: it has ended, and its event was not confirmed."""
    LEFT = "left"
    """It needs nothing, or not yet."""

    @property
    def publishes(self) -> bool:
        """Whether a message has to be sent."""
        return self in (Verdict.NEVER_ENQUEUED, Verdict.MESSAGE_LOST, Verdict.CLAIM_DEAD)

    @property
    def failure(self) -> Failure | None:
        """What a task fails with that is given up; None for the others."""
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
    """How long to trust the others before stepping in."""

    confirm_within: timedelta = timedelta(seconds=30)
    """A submission, or an ending, is confirmed by then, or the process that made it is dead."""
    deliver_within: timedelta = timedelta(hours=1)
    """A confirmed message that no worker took for so long is published again: it may have been lost."""
    redeliver_within: timedelta = timedelta(seconds=60)
    """After a claim died, Pub/Sub brings the delivery back by itself by then, or never."""
    give_up_after: timedelta = timedelta(days=14)
    """Nothing waits longer for a worker. So every task ends, and what lies in the bucket may be given an age."""
    page_size: int = 200
    max_pages: int = 10
    """Of each kind in one round; the next round begins with those that wait longest again."""
    turn_ttl: timedelta = timedelta(seconds=60)
    """How long a rescue that died keeps others from theirs; a page takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Decides as of one moment; every message confirmed before `messages_lost_before` counts as lost."""

    policy: RescuePolicy
    now: datetime
    messages_lost_before: datetime

    def verdict(self, task: Task) -> Verdict:
        """What to do about a task as it is stored."""
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
        # A slow worker may still renew, and a message that exists is on its way back by itself.
        patient = claim_ended + self.policy.redeliver_within >= self.now
        if task.attempts_left <= 0:
            return Verdict.LEFT if patient else Verdict.USED_UP
        # Claimed, so there was a message, even if nobody noted its confirmation.
        last_message = task.enqueued_at or task.queued_at
        if last_message < self.messages_lost_before:
            return Verdict.CLAIM_DEAD
        # A message younger than the claim's end is still to be delivered.
        return Verdict.LEFT if patient or last_message >= claim_ended else Verdict.CLAIM_DEAD
