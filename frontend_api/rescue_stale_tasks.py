"""Rescue: bring back every task that nobody will touch again. Called each minute, and after the queue lost messages.

Safe to run twice at once: the worst it can do is publish one message too many, and claims make that harmless.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from common.domain.errors import TaskNotFoundError
from common.domain.task import Failure, Task, TaskStatus
from common.ports import Clock, TaskStore
from frontend_api.ports import TaskQueue
from frontend_api.submit_task import noted_as_enqueued

_TOO_LATE = Failure(
    code="deadline_exceeded",
    message="No worker could start before the deadline that was set.",
    retryable=True,
)
_USED_UP = Failure(
    code="attempts_exhausted", message="Every attempt ended with its worker lost.", retryable=True
)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuePolicy:
    """How long to trust the others before stepping in."""

    confirm_within: timedelta = timedelta(seconds=30)
    """A submission is confirmed by then, or the process that made it is dead."""
    deliver_within: timedelta = timedelta(hours=1)
    """A confirmed message that no worker took for so long is published again: it may have been lost."""
    redeliver_within: timedelta = timedelta(seconds=60)
    """After a claim died, Pub/Sub brings the delivery back by itself by then, or never."""
    page_size: int = 200
    max_pages: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescued:
    """What one round did, in tasks. `left` are those that turned out to need nothing."""

    published: int = 0
    abandoned: int = 0
    left: int = 0


class _Verdict(Enum):
    LEAVE = auto()
    PUBLISH = auto()
    GIVE_UP_LATE = auto()
    GIVE_UP_USED_UP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueStaleTasks:
    """The use case."""

    store: TaskStore
    queue: TaskQueue
    clock: Clock
    policy: RescuePolicy = RescuePolicy()

    def __call__(self, *, queue_lost_at: datetime | None = None) -> Rescued:
        """Go through the unattended tasks once, in pages.

        `queue_lost_at`: every message confirmed before that moment is gone, publish anew. Raises
        DependencyUnavailableError midway when a dependency fails; what is left is found by the next round.
        """
        now = self.clock.now()
        messages_lost_before = max(now - self.policy.deliver_within, queue_lost_at or _LONG_AGO)
        total, seen = Rescued(), set[str]()
        for _ in range(self.policy.max_pages):
            found = self.store.list_unattended(
                never_enqueued_before=now - self.policy.confirm_within,
                enqueued_before=messages_lost_before,
                now=now,
                limit=self.policy.page_size,
            )
            fresh = [task for task in found if task.id not in seen]
            if not fresh:
                break
            seen.update(task.id for task in fresh)
            for task in fresh:
                total = self._rescued(task, now, messages_lost_before, total)
        return total

    def _rescued(self, task: Task, now: datetime, messages_lost_before: datetime, total: Rescued) -> Rescued:
        match self._verdict(task, now, messages_lost_before):
            case _Verdict.PUBLISH:
                self.queue.publish(task)
                noted_as_enqueued(self.store, task, self.clock.now())
                return replace(total, published=total.published + 1)
            case _Verdict.GIVE_UP_LATE | _Verdict.GIVE_UP_USED_UP:
                if self._abandoned(task, now, messages_lost_before):
                    return replace(total, abandoned=total.abandoned + 1)
        return replace(total, left=total.left + 1)

    def _abandoned(self, task: Task, now: datetime, messages_lost_before: datetime) -> bool:
        def change(stored: Task) -> Task:
            # Judged again on what is stored now: a worker may have claimed the task since it was listed.
            match self._verdict(stored, now, messages_lost_before):
                case _Verdict.GIVE_UP_LATE:
                    return stored.abandoned(_TOO_LATE, now)
                case _Verdict.GIVE_UP_USED_UP:
                    return stored.abandoned(_USED_UP, now)
            return stored

        try:
            return self.store.update(task.id, change, last_seen=task).status is TaskStatus.FAILED
        except TaskNotFoundError:
            return False

    def _verdict(self, task: Task, now: datetime, messages_lost_before: datetime) -> _Verdict:
        if task.status is TaskStatus.QUEUED:
            return self._verdict_on_queued(task, now, messages_lost_before)
        if task.status is TaskStatus.PROCESSING and task.claim is not None:
            return self._verdict_on_claimed(task, task.claim.expires_at, now, messages_lost_before)
        return _Verdict.LEAVE

    def _verdict_on_claimed(
        self, task: Task, claim_ended: datetime, now: datetime, messages_lost_before: datetime
    ) -> _Verdict:
        if claim_ended >= now:
            return _Verdict.LEAVE
        # A slow worker may still renew, and a message that exists is on its way back by itself.
        patient = claim_ended + self.policy.redeliver_within >= now
        if task.attempts_left <= 0:
            return _Verdict.LEAVE if patient else _Verdict.GIVE_UP_USED_UP
        # Claimed, so there was a message, even if nobody noted its confirmation.
        last_message = task.enqueued_at or task.created_at
        if last_message < messages_lost_before:
            return _Verdict.PUBLISH
        # A message younger than the claim's end is still to be delivered.
        return _Verdict.LEAVE if patient or last_message >= claim_ended else _Verdict.PUBLISH

    def _verdict_on_queued(self, task: Task, now: datetime, messages_lost_before: datetime) -> _Verdict:
        if task.start_by is not None and task.start_by < now and task.started_at is None:
            return _Verdict.GIVE_UP_LATE
        if task.enqueued_at is None:
            waits = task.created_at >= now - self.policy.confirm_within
            return _Verdict.LEAVE if waits else _Verdict.PUBLISH
        return _Verdict.PUBLISH if task.enqueued_at < messages_lost_before else _Verdict.LEAVE
